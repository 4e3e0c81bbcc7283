//! Quantising: the result has the same bits as that of mlx, and a quantised folder loads again unchanged.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::path::Path;

use common::tiny::Tiny;
use common::{fixture, load, raw_tensors_of, values};
use mobilellm::Error;
use mobilellm::checkpoint::load::WeightFormat;
use mobilellm::checkpoint::quantize::{QuantizeOptions, QuantizeReport, quantize_folder};
use mobilellm::checkpoint::source::Cancel;
use mobilellm::checkpoint::source::Source;
use mobilellm::checkpoint::source::directory::DirectorySource;
use mobilellm::model::affine::{pack, scale_and_bias, unpack};
use mobilellm::model::config::{BitsAndGroup, Config};
use mobilellm::model::matrix::{Format, ScaleFormat};
use mobilellm::model::network::{MatrixId, Projection};
use safetensors::SafeTensors;

fn options(bits: u32, group_size: u32, overrides: &[&str]) -> QuantizeOptions {
    QuantizeOptions {
        default: BitsAndGroup { bits, group_size },
        overrides: overrides.iter().map(|text| text.parse().unwrap()).collect(),
        max_shard_size: 4 << 30,
    }
}

fn quantize(source: &dyn Source, to: &Path, options: &QuantizeOptions) -> mobilellm::Result<QuantizeReport> {
    pollster::block_on(quantize_folder(source, to, options, &mut |_| {}, &Cancel::default()))
}

fn quantize_fixture(name: &str, to: &Path, options: &QuantizeOptions) -> QuantizeReport {
    quantize(&DirectorySource::new(fixture(name)).unwrap(), to, options).unwrap()
}

#[test]
fn groups_are_those_of_mlx() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures/quantize.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (dtype, stored_as) in
        [("f32", ScaleFormat::F32), ("f16", ScaleFormat::F16), ("bf16", ScaleFormat::Bf16)]
    {
        let weights = values(&file.tensor(&format!("{dtype}.w")).unwrap());
        for bits in [4, 8] {
            for group_size in [32, 64, 128] {
                let case = format!("{dtype}.q{bits}.g{group_size}");
                let expected = |part: &str| values(&file.tensor(&format!("{case}.{part}")).unwrap());
                let (words, scales, biases) = (expected("weight"), expected("scales"), expected("biases"));
                let mut packed = Vec::new();
                for (group, weights) in weights.chunks_exact(group_size).enumerate() {
                    let pair = scale_and_bias(weights, bits);
                    assert_eq!(
                        stored_as.round(pair.0).to_bits(),
                        scales[group].to_bits(),
                        "{case} scale {group}"
                    );
                    assert_eq!(
                        stored_as.round(pair.1).to_bits(),
                        biases[group].to_bits(),
                        "{case} bias {group}"
                    );
                    pack(weights, bits, pair, &mut packed);
                }
                assert!(packed.iter().copied().eq(words.iter().map(|word| word.to_bits())), "{case}");
            }
        }
    }
}

#[test]
fn f32_dequantises_as_in_mlx() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures/quantize.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for bits in [4, 8] {
        let case = format!("f32.q{bits}.g64");
        let expected = |part: &str| values(&file.tensor(&format!("{case}.{part}")).unwrap());
        let words: Vec<u32> = expected("weight").iter().map(|word| word.to_bits()).collect();
        let (scales, biases) = (expected("scales"), expected("biases"));
        let mut ours = Vec::new();
        for (group, words) in words.chunks_exact(64 * bits as usize / 32).enumerate() {
            unpack(words, bits, (scales[group], biases[group]), &mut ours);
        }
        assert_eq!(ours, expected("dequantized"), "{case}");
    }
}

#[test]
fn a_quantised_folder_loads_bit_for_bit() {
    let temporary = tempfile::tempdir().unwrap();
    for (name, bits, group_size) in
        [("tied-gqa3", 4, 32), ("untied-mha", 8, 32), ("sharded", 4, 64), ("biases", 8, 64), ("chat", 4, 64)]
    {
        let folder = temporary.path().join(name);
        let report = quantize_fixture(name, &folder, &options(bits, group_size, &[]));
        let written = raw_tensors_of(&folder);
        let original = raw_tensors_of(&fixture(name));
        let mut quantized = 0;
        for (tensor, weights) in &original {
            let Some(module) = tensor.strip_suffix(".weight") else {
                assert_eq!(&written[tensor], weights, "{name} {tensor}");
                continue;
            };
            let Some(scales) = written.get(&format!("{module}.scales")) else {
                assert_eq!(&written[tensor], weights, "{name} {tensor}");
                continue;
            };
            quantized += 1;
            let values = common::dequantized(&written, module, bits, group_size as usize);
            assert_eq!(values.len(), weights.len());
            let largest_step = scales.iter().fold(0f32, |max, scale| max.max(scale.abs()));
            for (value, weight) in values.iter().zip(weights) {
                // Half a step, plus the error of rounding scale and bias to bf16, over the whole range.
                let tolerance = largest_step * (0.5 + (1 << bits) as f32 / 128.0);
                assert!((value - weight).abs() <= tolerance, "{name} {tensor}: {value} for {weight}");
            }
        }
        assert_eq!(report.quantized, quantized, "{name}");
        assert_eq!(quantized > 0, name == "untied-mha", "no group size divides the rows of 40 and 48");
        assert!(quantized > 0 || !report.indivisible.is_empty(), "{name}");

        let source = DirectorySource::new(&folder).unwrap();
        let (config, sink, _) = load(&source, WeightFormat::Auto).unwrap();
        let down = sink.matrix(MatrixId::Block(0, Projection::Down));
        let path = "model.layers.0.mlp.down_proj";
        if written.contains_key(&format!("{path}.scales")) {
            assert_eq!(down, common::dequantized(&written, path, bits, group_size as usize), "{name}");
        } else {
            assert_ne!(config.intermediate_size % group_size as usize, 0, "{name}");
        }
        assert!(folder.join("model.safetensors.index.json").is_file());
        assert!(
            std::fs::read(fixture(name).join("generation_config.json")).ok()
                == std::fs::read(folder.join("generation_config.json")).ok()
        );
    }
}

#[test]
fn overrides_change_the_bits_of_a_module() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("out");
    let overrides = ["model.embed_tokens=8", "model.layers.0=none", "model.layers.0.self_attn.v_proj=8:32"];
    quantize(&Tiny::new().source(), &folder, &options(4, 64, &overrides)).unwrap();
    let config = Config::parse(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let quantization = config.quantization.unwrap();
    assert_eq!(quantization.of("model.embed_tokens"), Some(BitsAndGroup { bits: 8, group_size: 64 }));
    assert_eq!(quantization.of("model.layers.0.self_attn.q_proj"), None);
    assert_eq!(quantization.of("model.layers.1.self_attn.q_proj").unwrap().bits, 4);
    let (_, sink, _) = load(&DirectorySource::new(&folder).unwrap(), WeightFormat::Auto).unwrap();
    let Format::Affine(affine) = sink.matrices[&MatrixId::Embedding].format else { panic!() };
    assert_eq!(affine.bits, 8);
    assert_eq!(sink.matrices[&MatrixId::Block(0, Projection::GateUp)].format, Format::Bf16);
}

#[test]
fn small_shards_have_the_same_tensors() {
    let temporary = tempfile::tempdir().unwrap();
    let (one, many) = (temporary.path().join("one"), temporary.path().join("many"));
    let whole = options(4, 32, &[]);
    quantize(&Tiny::new().source(), &one, &whole).unwrap();
    let report =
        quantize(&Tiny::new().source(), &many, &QuantizeOptions { max_shard_size: 16 << 10, ..whole })
            .unwrap();
    assert!(report.files.len() > 2, "{:?}", report.files);
    // Compared as bits, because packed words are not numbers.
    let bits = |folder: &Path| {
        let tensors = raw_tensors_of(folder).into_iter();
        let bits = tensors.map(|(name, values)| (name, values.iter().map(|v| v.to_bits()).collect()));
        bits.collect::<Vec<(String, Vec<u32>)>>()
    };
    assert!(bits(&one) == bits(&many));
    let load = |folder: &Path| load(&DirectorySource::new(folder).unwrap(), WeightFormat::Auto).unwrap();
    assert_eq!(load(&one).1.matrices, load(&many).1.matrices);
}

#[test]
fn a_failed_quantisation_leaves_no_files() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("out");
    let refused = |name: &str, options: &QuantizeOptions, field: &str| {
        let source = DirectorySource::new(fixture(name)).unwrap();
        match quantize(&source, &folder, options) {
            Err(Error::Request { field: f, .. }) => assert_eq!(f, field),
            other => panic!("{other:?}"),
        }
    };
    refused("mlx-q4", &options(4, 64, &[]), "source");
    refused("tied-gqa3", &options(5, 64, &[]), "bits");
    refused("tied-gqa3", &options(4, 48, &[]), "group size");
    refused("tied-gqa3", &options(4, 64, &["model.embed_token=8"]), "override");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "nothing is left");

    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("precious.txt"), "mine").unwrap();
    refused("tied-gqa3", &options(4, 64, &[]), "destination");
    assert_eq!(std::fs::read_to_string(folder.join("precious.txt")).unwrap(), "mine");

    let source = DirectorySource::new(fixture("tied-gqa3")).unwrap();
    let cancel = Cancel::default();
    let to = temporary.path().join("cancelled");
    let mut stop = |_| cancel.cancel();
    let result = pollster::block_on(quantize_folder(&source, &to, &options(4, 64, &[]), &mut stop, &cancel));
    assert!(matches!(result, Err(Error::Cancelled)));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1, "only the folder from before");
}

#[test]
fn overrides_parse() {
    use mobilellm::checkpoint::quantize::Override;
    let parse = |text: &str| text.parse::<Override>();
    assert_eq!(parse("a.b=8").unwrap(), Override { path: "a.b".into(), format: Some((8, None)) });
    assert_eq!(parse("a=4:32").unwrap(), Override { path: "a".into(), format: Some((4, Some(32))) });
    assert_eq!(parse("a=none").unwrap(), Override { path: "a".into(), format: None });
    for wrong in ["", "a", "a=", "=8", "a=x", "a=4:", "a=4:x", "a=-4"] {
        assert!(matches!(parse(wrong), Err(Error::Request { .. })), "{wrong}");
    }
}
