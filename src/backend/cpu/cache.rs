//! What a run of a block keeps of the text: rings of rows.

use crate::model::decoder::CacheSpec;

/// The rows of the latest positions: position `p` lies at row `p % capacity`. Memory grows with the text up to that.
#[derive(Debug, Clone)]
pub struct Ring {
    rows: Vec<f32>,
    width: usize,
    capacity: usize,
}

impl Ring {
    /// An empty one.
    pub fn new(width: usize, capacity: usize) -> Self {
        Self { rows: Vec::new(), width, capacity }
    }

    /// Takes the row of a position.
    pub fn write(&mut self, position: usize, row: &[f32]) {
        let at = position % self.capacity * self.width;
        if self.rows.len() < at + self.width {
            self.rows.resize(at + self.width, 0.0);
        }
        self.rows[at..at + self.width].copy_from_slice(row);
    }

    /// The row of a position that was written and is still there.
    pub fn row(&self, position: usize) -> &[f32] {
        let at = position % self.capacity * self.width;
        &self.rows[at..at + self.width]
    }

    /// All rows, in the order in which they lie.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }
}

/// The cache of a run of a block.
#[derive(Debug, Clone)]
pub struct Cache {
    /// What it keeps.
    pub spec: CacheSpec,
    /// Positions that it has room for.
    pub capacity: usize,
    /// Keys; of a convolution, its gated inputs.
    pub keys: Ring,
    /// Values; of a convolution, nothing.
    pub values: Ring,
}

impl Cache {
    /// An empty one for rows of keys that are `kv_width` wide, or of a convolution's inputs that are `hidden_size` wide.
    pub fn new(spec: CacheSpec, capacity: usize, kv_width: usize, hidden_size: usize) -> Self {
        let width = match spec {
            CacheSpec::KeyValue { .. } => kv_width,
            CacheSpec::Convolution { .. } => hidden_size,
        };
        Self { spec, capacity, keys: Ring::new(width, capacity), values: Ring::new(kv_width, capacity) }
    }
}
