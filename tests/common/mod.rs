//! Helpers for several tests of checkpoints: a backend that only stores weights, and the fixtures.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

pub mod gguf;
pub mod shared;
pub mod tiny;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mobilellm::backend::WeightSink;
use mobilellm::checkpoint::load::{Checkpoint, LoadReport, WeightFormat};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::Source;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::model::config::Config;
use mobilellm::model::matrix::Matrix;
use mobilellm::model::network::{MatrixId, VectorId};
use mobilellm::{Error, Result};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Stores all weights; it is an error to get one twice.
#[derive(Default)]
pub struct RecordingSink {
    pub matrices: BTreeMap<MatrixId, Matrix>,
    pub vectors: BTreeMap<VectorId, Vec<f32>>,
}

impl RecordingSink {
    /// All values of a matrix, row by row.
    pub fn matrix(&self, id: MatrixId) -> Vec<f32> {
        let matrix = &self.matrices[&id];
        let mut values = vec![f32::NAN; matrix.rows * matrix.cols];
        for (row, out) in values.chunks_exact_mut(matrix.cols).enumerate() {
            matrix.dequantize_row(row, out);
        }
        values
    }
}

impl WeightSink for RecordingSink {
    fn put_matrix(&mut self, id: MatrixId, matrix: Matrix) -> Result<()> {
        assert_eq!(matrix.words.len(), matrix.rows * matrix.format.row_words(matrix.cols), "{id:?}");
        assert_eq!(matrix.scales.len(), matrix.rows * matrix.format.row_scale_words(matrix.cols), "{id:?}");
        assert!(self.matrices.insert(id, matrix).is_none(), "{id:?} came twice");
        Ok(())
    }

    fn put_vector(&mut self, id: VectorId, values: Vec<f32>) -> Result<()> {
        assert!(self.vectors.insert(id, values).is_none(), "{id:?} came twice");
        Ok(())
    }

    fn remove_matrix(&mut self, id: MatrixId) {
        assert!(self.matrices.remove(&id).is_some(), "{id:?} is not there");
    }
}

/// Loads a whole checkpoint.
pub fn load(source: &dyn Source, format: WeightFormat) -> Result<(Config, RecordingSink, LoadReport)> {
    pollster::block_on(async {
        let checkpoint = Checkpoint::open(source, &Cancel::default()).await?;
        let config = checkpoint.config.clone();
        let mut sink = RecordingSink::default();
        let report = checkpoint.load(format, &mut sink, &mut |_| {}).await?;
        Ok((config, sink, report))
    })
}

/// The error of a load that must fail.
pub fn load_error(source: &dyn Source) -> Error {
    load(source, WeightFormat::Auto).err().expect("the load should have failed")
}

/// A folder of `tests/reference/fixtures/checkpoints`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures/checkpoints").join(name)
}

/// Loads a [`fixture`].
pub fn load_fixture(name: &str, format: WeightFormat) -> (Config, RecordingSink, LoadReport) {
    let source = DirectorySource::new(fixture(name)).unwrap();
    load(&source, format).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All tensors of a fixture as f32, read by the `safetensors` crate. Packed words become floats with the same bits: see
/// [`dequantized`].
pub fn raw_tensors(name: &str) -> BTreeMap<String, Vec<f32>> {
    raw_tensors_of(&fixture(name))
}

/// All tensors of a folder, as [`raw_tensors`].
pub fn raw_tensors_of(folder: &Path) -> BTreeMap<String, Vec<f32>> {
    let mut tensors = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file_name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !(file_name.starts_with("model") && file_name.ends_with(".safetensors")) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            tensors.insert(name.to_owned(), values(&view));
        }
    }
    tensors
}

/// The values of a tensor. Packed words become floats with the same bits.
pub fn values(tensor: &TensorView<'_>) -> Vec<f32> {
    let bytes = tensor.data();
    let words = || bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let halves = || bytes.chunks_exact(2).map(|half| u16::from_le_bytes(half.try_into().unwrap()));
    match tensor.dtype() {
        Dtype::F32 | Dtype::U32 => words().map(f32::from_bits).collect(),
        Dtype::F16 => halves().map(|bits| half::f16::from_bits(bits).to_f32()).collect(),
        Dtype::BF16 => halves().map(|bits| half::bf16::from_bits(bits).to_f32()).collect(),
        other => panic!("{other} in a fixture"),
    }
}

/// The values `scale * q + bias` of a quantised module, directly from the definition.
pub fn dequantized(raw: &BTreeMap<String, Vec<f32>>, module: &str, bits: u32, group_size: usize) -> Vec<f32> {
    let (scales, biases) = (&raw[&format!("{module}.scales")], &raw[&format!("{module}.biases")]);
    let per_word = (32 / bits) as usize;
    (0..scales.len() * group_size)
        .map(|i| {
            let word = raw[&format!("{module}.weight")][i / per_word].to_bits();
            let q = word >> (bits as usize * (i % per_word)) & ((1 << bits) - 1);
            scales[i / group_size] * q as f32 + biases[i / group_size]
        })
        .collect()
}
