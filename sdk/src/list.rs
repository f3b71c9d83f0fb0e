//! Lists whose items do not lie in the block as a Rust slice.

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use crate::json::Json;
use crate::read;

/// A list of `bool` in an [`Input`](crate::Input).
pub type Bools<'a> = List<'a, bool>;
/// A list of text in an [`Input`](crate::Input).
pub type Texts<'a> = List<'a, &'a str>;
/// A list of JSON values in an [`Input`](crate::Input).
pub type Jsons<'a> = List<'a, Json<'a>>;

/// A borrowed list: what [`Bools`], [`Texts`] and [`Jsons`] have in common. Cheap to copy, like a slice.
///
/// ```
/// # use tidemill_sdk::prelude::*;
/// fn longest<'a>(words: Texts<'a>) -> Option<&'a str> {
///     words.iter().max_by_key(|word| word.len())
/// }
/// ```
pub struct List<'a, T: Item<'a>> {
    items: T::Items,
    marker: PhantomData<&'a T>,
}

/// What a [`List`] may hold: `bool`, `&str`, [`Json`].
pub trait Item<'a>: Sized {
    #[doc(hidden)]
    type Items: Copy;
    #[doc(hidden)]
    fn count(items: &Self::Items) -> usize;
    #[doc(hidden)]
    fn at(items: &Self::Items, index: usize) -> Self;
}

impl<'a> Item<'a> for bool {
    type Items = &'a [u8];

    #[inline]
    fn count(items: &&'a [u8]) -> usize {
        items.len()
    }

    #[inline]
    fn at(items: &&'a [u8], index: usize) -> bool {
        items[index] != 0
    }
}

impl<'a> Item<'a> for &'a str {
    type Items = read::Texts<'a>;

    #[inline]
    fn count(items: &read::Texts<'a>) -> usize {
        items.len()
    }

    #[inline]
    fn at(items: &read::Texts<'a>, index: usize) -> &'a str {
        items.get(index)
    }
}

impl<'a> Item<'a> for Json<'a> {
    type Items = read::Texts<'a>;

    #[inline]
    fn count(items: &read::Texts<'a>) -> usize {
        items.len()
    }

    #[inline]
    fn at(items: &read::Texts<'a>, index: usize) -> Json<'a> {
        Json::new(items.get(index))
    }
}

impl<'a, T: Item<'a>> List<'a, T> {
    #[inline]
    pub(crate) fn new(items: T::Items) -> List<'a, T> {
        List {
            items,
            marker: PhantomData,
        }
    }

    /// How many items there are.
    #[inline]
    pub fn len(&self) -> usize {
        T::count(&self.items)
    }

    /// Whether there is no item.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`, from 0.
    #[inline]
    pub fn get(&self, index: usize) -> Option<T> {
        (index < self.len()).then(|| T::at(&self.items, index))
    }

    /// The items in order.
    #[inline]
    pub fn iter(&self) -> Iter<'a, T> {
        Iter {
            next: 0,
            list: *self,
        }
    }
}

/// The items of a [`List`] in order.
pub struct Iter<'a, T: Item<'a>> {
    list: List<'a, T>,
    next: usize,
}

impl<'a, T: Item<'a>> Iterator for Iter<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let item = self.list.get(self.next)?;
        self.next += 1;
        Some(item)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.list.len() - self.next;
        (left, Some(left))
    }
}

impl<'a, T: Item<'a>> ExactSizeIterator for Iter<'a, T> {}
impl<'a, T: Item<'a>> FusedIterator for Iter<'a, T> {}

impl<'a, T: Item<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    #[inline]
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Item<'a>> Clone for List<'a, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, T: Item<'a>> Copy for List<'a, T> {}

impl<'a, T: Item<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Item<'a> + PartialEq<U>, U> PartialEq<[U]> for List<'a, T> {
    fn eq(&self, other: &[U]) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(one, other)| one == *other)
    }
}
