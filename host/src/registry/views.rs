//! Views: a next version may have more columns, and nothing else that stored rows would not fit.

use std::sync::Arc;

use super::entry::digest_of;
use super::{Catalog, Item, Kind, Outcome, Registry, ViewEntry, ViewRecord};
use crate::error::{Error, Result};
use crate::view::View;

impl Registry {
    /// The same definition again is the number it has already. Another of the same name is the next version: it may add
    /// nullable columns at the end and say other things about the columns.
    pub fn register_view(&self, definition: View) -> Result<(Arc<ViewEntry>, Outcome)> {
        definition.check()?;
        let _registering = self.registering.lock();
        let catalog = self.catalog.load_full();
        let name = &definition.name;
        let versions = catalog.views.get(name).into_iter().flatten();
        let same = |(_, entry): &(&u32, &Arc<ViewEntry>)| entry.record.definition == definition;
        if let Some((_, entry)) = versions.into_iter().find(same) {
            return Ok((entry.clone(), Outcome::Unchanged));
        }
        let digest = digest_of(&definition)?;
        let (item, number) = catalog.place(Kind::View, name, &digest);
        if !catalog.gone.contains_key(&item)
            && let Some((newest, id)) = newest(&catalog, name)?
        {
            definition.follows(newest, &id)?;
        }
        let record = ViewRecord {
            number,
            digest,
            definition,
            registered_at: jiff::Timestamp::now(),
        };
        self.keep_new(&item, &record)?;
        let entry = Arc::new(ViewEntry::new(record));
        let mut next = Catalog::clone(&catalog);
        next.gone.remove(&item);
        let versions = next.views.entry(item.name).or_default();
        versions.insert(number, entry.clone());
        self.publish(next);
        Ok((entry, Outcome::Created))
    }
}

/// The newest version that ever was, also if it was deleted: its rows may still be there.
fn newest<'a>(catalog: &'a Catalog, name: &str) -> Result<Option<(&'a View, String)>> {
    let mine = |item: &&Item| item.kind == Kind::View && item.name == name;
    if let Some(broken) = catalog.broken.keys().find(mine) {
        return Err(Error::Conflict(format!(
            "{broken} cannot be read, so nobody knows what may follow it; give this view another name"
        )));
    }
    let live = catalog.views.get(name).into_iter().flatten();
    let live = live.map(|(number, entry)| (*number, &*entry.view));
    let gone = catalog.gone.iter().filter(|(item, _)| mine(item));
    let gone =
        gone.filter_map(|(item, tombstone)| Some((item.number()?, tombstone.view.as_ref()?)));
    let newest = live.chain(gone).max_by_key(|(number, _)| *number);
    Ok(newest.map(|(number, view)| (view, format!("{name}@{number}"))))
}
