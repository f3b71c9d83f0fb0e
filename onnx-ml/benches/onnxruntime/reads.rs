//! The reads of a walk through trees without the walk: eight bytes for each node on a path, at known places.

pub struct Reads {
    memory: Vec<u64>,
    /// For each of 64 made-up rows.
    places: Vec<Vec<u32>>,
}

impl Reads {
    /// Of `trees` in an array of so many words.
    pub fn new(words: usize, trees: usize, nodes_a_tree: usize) -> Reads {
        // A linear congruence (Knuth's MMIX), of which the highest bit is taken.
        let mut random = 3u64;
        let mut bit = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 63) as usize
        };
        let tree = words / trees;
        let mut path = || {
            let mut places = vec![];
            for t in 0..trees {
                // Breadth-first numbering of a complete tree of this size.
                let mut at = 0;
                while at < nodes_a_tree {
                    places.push((t * tree + at.min(tree - 1)) as u32);
                    at = 2 * at + 1 + bit();
                }
            }
            places
        };
        Reads {
            places: (0..64).map(|_| path()).collect(),
            memory: vec![1; words],
        }
    }

    pub fn rows(&self, first: usize, rows: usize) -> u64 {
        let mut sum = 0u64;
        for r in 0..rows {
            for &place in &self.places[(first + r) % self.places.len()] {
                sum = sum.wrapping_add(self.memory[place as usize]);
            }
        }
        sum
    }
}
