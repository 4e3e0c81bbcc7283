//! Validates every shader that a checkpoint could need, without a device, so that no user is the first to run a broken
//! one.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

#[path = "common/decoders.rs"]
mod decoders;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use mobilellm::backend::gpu::plan::{Call, Plan, Target};
use mobilellm::backend::gpu::shader::{Access, Binding, PIECES, Shader};
use mobilellm::backend::gpu::{CacheFormat, Dialect, Layout, Tier};
use mobilellm::model::config::Config;
use mobilellm::model::decoder::CacheSpec;
use mobilellm::model::matrix::{Affine, Format, ScaleFormat};
use mobilellm::model::network::{MatrixId, Network};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Every weight format.
fn formats() -> Vec<Format> {
    let mut formats = vec![Format::F32, Format::F16, Format::Bf16];
    for bits in [4, 8] {
        for group_size in [16, 32, 64, 128] {
            for scales in [ScaleFormat::F32, ScaleFormat::F16, ScaleFormat::Bf16] {
                formats.push(Format::Affine(Affine { bits, group_size, scales }));
            }
        }
    }
    formats
}

/// Configs that together have every epilogue, biases, and widths that fit into one tile and widths that do not.
fn configs() -> Vec<Config> {
    let mut configs = Vec::new();
    for (hidden, ffn, heads, kv_heads, head_dim, vocab) in [
        (128, 128, 2, 1, 64, 97),
        (1664, 4352, 26, 2, 64, 32000),
        (128, 128, 4, 2, 8, 97),
        (128, 128, 4, 2, 96, 97),
        (128, 128, 1, 1, 128, 97),
        (128, 128, 1, 1, 256, 97),
        (128, 128, 1, 1, 90, 97),
    ] {
        for extra in [
            r#""tie_word_embeddings": true"#,
            r#""attention_bias": true, "mlp_bias": true"#,
            r#""layer_sharing": true, "layer_sharing_shared_kv": true"#,
        ] {
            let json = format!(
                r#"{{"model_type": "llama", "hidden_size": {hidden}, "intermediate_size": {ffn}, "num_hidden_layers": 1,
                    "num_attention_heads": {heads}, "num_key_value_heads": {kv_heads}, "head_dim": {head_dim},
                    "vocab_size": {vocab}, {extra}}}"#
            );
            configs.push(Config::parse(json.as_bytes()).expect("a valid config"));
        }
    }
    configs
}

fn plan(config: &Config, format: Format, target: Target) -> Plan {
    let network = Network::new(config.clone());
    let layouts: HashMap<_, _> = network
        .matrices()
        .into_iter()
        .map(|(id, rows, cols)| (id, Layout::new(rows, cols, format, 128 << 20).expect("it fits")))
        .collect();
    Plan::new(&network, &layouts, target).expect("a complete plan")
}

fn target(tier: Tier, int8_tiles: bool) -> Target {
    Target { tier, max_batch: 512, cache: CacheFormat::F16, subgroup_size: 32, int8_tiles }
}

/// The plans of every config, format, tier and cache.
fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for config in configs() {
        for format in formats() {
            plans.extend(plans_of(&config, format));
        }
    }
    for config in family_configs() {
        for format in [Format::F32, Format::F16, Q4] {
            plans.extend(plans_of(&config, format));
        }
    }
    plans
}

/// The plans of every tier and cache.
fn plans_of(config: &Config, format: Format) -> Vec<Plan> {
    let mut plans = Vec::new();
    for tier in Tier::ALL {
        for cache in [CacheFormat::F32, CacheFormat::F16] {
            for (subgroup_size, int8_tiles) in [(4, false), (32, false), (128, false), (32, true)] {
                let target = Target { tier: *tier, max_batch: 512, cache, subgroup_size, int8_tiles };
                plans.push(plan(config, format, target));
            }
        }
    }
    plans
}

const Q4: Format = Format::Affine(Affine { bits: 4, group_size: 64, scales: ScaleFormat::F16 });

/// Every family's kind of decoder, with heads that many threads share, that are one thread's, and as wide as Gemma's.
fn family_configs() -> Vec<Config> {
    let shapes = [(4, 2, 16), (5, 1, 90), (4, 1, 256)];
    let config = |(heads, kv_heads, head_dim)| {
        let json = format!(
            r#"{{"model_type": "llama", "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 4,
                "num_attention_heads": {heads}, "num_key_value_heads": {kv_heads}, "head_dim": {head_dim}, "vocab_size": 97}}"#
        );
        Config::parse(json.as_bytes()).expect("a valid config")
    };
    shapes
        .into_iter()
        .flat_map(|shape| decoders::families(&config(shape)))
        .map(|(_, config)| config)
        .collect()
}

/// The shaders, without those of equal text.
fn shaders(plans: &[Plan]) -> Vec<Shader> {
    let mut seen = BTreeSet::new();
    plans
        .iter()
        .flat_map(Plan::calls)
        .map(|call| call.shader.clone())
        .filter(|shader| seen.insert(shader.wgsl(Dialect::Browser)))
        .collect()
}

fn parse(shader: &Shader) -> naga::Module {
    let wgsl = shader.wgsl(Dialect::Naga);
    // The two dialects differ by one line, which naga refuses and browsers require.
    let browser = shader.wgsl(Dialect::Browser);
    let (f16, body) = wgsl.strip_prefix("enable f16;\n").map_or(("", &*wgsl), |body| ("enable f16;\n", body));
    let subgroups = if wgsl.contains("subgroupShuffle") { "enable subgroups;\n" } else { "" };
    assert_eq!(browser, format!("{f16}{subgroups}{body}"));
    naga::front::wgsl::parse_str(&wgsl)
        .unwrap_or_else(|error| panic!("{}: {}\n{wgsl}", shader.name(), error.emit_to_string(&wgsl)))
}

#[test]
fn every_shader_is_valid_and_within_the_limits_of_every_device() {
    let shaders = shaders(&plans());
    assert!(shaders.len() > 100);
    for shader in shaders {
        let (name, wgsl) = (shader.name(), shader.wgsl(Dialect::Naga));
        let module = parse(&shader);
        // Packing and unpacking f16 is part of core WebGPU, but naga counts it as a capability.
        let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32 | Capabilities::SUBGROUP;
        capabilities.set(Capabilities::SHADER_FLOAT16, wgsl.starts_with("enable f16;"));
        Validator::new(ValidationFlags::all(), capabilities)
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{name}: {}\n{wgsl}", error.emit_to_string(&wgsl)));
        let entry = &module.entry_points[0];
        let threads: u32 = entry.workgroup_size.iter().product();
        assert!(threads <= 256, "{name} has workgroups of {threads} threads");
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let memory: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
            .map(|(_, variable)| layouter[variable.ty].size)
            .sum();
        assert!(memory <= 16 << 10, "{name} needs {memory} bytes of workgroup memory");
        let barriers = wgsl.contains("workgroupBarrier") || memory > 0;
        assert!(
            !(name.ends_with("/thread") && barriers),
            "{name} must have no barrier: it is for adapters on which barriers are very slow"
        );
    }
}

#[test]
fn only_prefill_of_tier_f16_uses_half_precision_and_never_for_f32_weights() {
    let halves = |calls: &[Call]| -> Vec<_> {
        let shaders = calls.iter().map(|call| &call.shader);
        shaders
            .filter(|shader| shader.wgsl(Dialect::Naga).contains("enable f16;"))
            .map(Shader::name)
            .collect()
    };
    for config in configs() {
        for format in formats() {
            for tier in Tier::ALL.iter().copied() {
                let plan = plan(&config, format, target(tier, false));
                let expected = tier == Tier::F16 && format != Format::F32;
                // At least the four projections of a block; more if there are biases or different blocks.
                assert_eq!(halves(&plan.prefill).len() >= 4, expected, "{format:?} on {tier:?}");
                assert_eq!(!halves(&plan.head_prefill).is_empty(), expected, "{format:?} on {tier:?}");
                let decode =
                    [&plan.decode, &plan.head_last, &plan.head_decode, &plan.sample_one, &plan.sample_all];
                assert!(decode.into_iter().all(|calls| halves(calls).is_empty()), "{format:?} on {tier:?}");
            }
        }
    }
}

#[test]
fn integers_are_multiplied_only_in_prefill_of_affine_weights_if_chosen() {
    for config in configs() {
        for format in formats() {
            for (tier, chosen) in Tier::ALL.iter().flat_map(|tier| [(*tier, false), (*tier, true)]) {
                let plan = plan(&config, format, target(tier, chosen));
                let integers = |calls: &[Call]| calls.iter().any(|call| call.shader.name().ends_with("int8"));
                let affine = matches!(format, Format::Affine(_));
                let expected = chosen && affine && tier != Tier::Software;
                assert_eq!(integers(&plan.prefill), expected, "{format:?} on {tier:?}");
                assert_eq!(integers(&plan.head_prefill), expected, "{format:?} on {tier:?}");
                assert!(
                    !integers(&plan.decode) && !integers(&plan.head_decode) && !integers(&plan.head_last)
                );
            }
        }
    }
}

#[test]
fn bindings_read_from_the_text_are_those_that_the_shader_has() {
    for shader in shaders(&plans()) {
        let module = parse(&shader);
        let mut declared: Vec<_> = module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| {
                let access = match variable.space {
                    naga::AddressSpace::Uniform => Access::Uniform,
                    naga::AddressSpace::Storage { access } if access == naga::StorageAccess::LOAD => {
                        Access::Read
                    }
                    naga::AddressSpace::Storage { .. } => Access::ReadWrite,
                    _ => return None,
                };
                variable.binding.map(|binding| (binding.binding, access))
            })
            .collect();
        let mut read: Vec<_> =
            shader.bindings().into_iter().map(|(binding, access)| (binding.number(), access)).collect();
        declared.sort_unstable_by_key(|(number, _)| *number);
        read.sort_unstable_by_key(|(number, _)| *number);
        assert_eq!(read, declared, "{}", shader.name());
        let storage = read.iter().filter(|(_, access)| *access != Access::Uniform).count();
        assert!(storage <= 8, "{} binds {storage} storage buffers", shader.name());
    }
}

#[test]
fn plans_bind_what_shaders_declare_and_no_buffer_twice() {
    for plan in plans() {
        for call in plan.calls() {
            // The batch is bound to every kernel, but calls do not name it.
            let declared = call.shader.bindings().into_iter().map(|(binding, _)| binding);
            let mut declared: Vec<_> = declared.filter(|binding| *binding != Binding::Batch).collect();
            let mut bound: Vec<_> = call.resources.iter().map(|(binding, _)| *binding).collect();
            declared.sort_unstable();
            bound.sort_unstable();
            assert_eq!(bound, declared, "{}", call.label);
            for (i, (_, resource)) in call.resources.iter().enumerate() {
                let again = call.resources[i + 1..].iter().any(|(_, other)| other == resource);
                assert!(!again, "{} binds {resource:?} twice", call.label);
            }
        }
    }
}

#[test]
fn a_layer_is_five_dispatches_in_decode() {
    let json = r#"{"model_type": "mobilellm", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 32000, "share_embedding": true}"#;
    let config = Config::parse(json.as_bytes()).unwrap();
    let target = target(Tier::Portable, false);
    let q4 = Format::Affine(Affine { bits: 4, group_size: 64, scales: ScaleFormat::F16 });
    let plan = plan(&config, q4, target);
    // Besides the five per layer, four per token: embedding, head, and two that choose the token.
    assert_eq!(plan.decode.len() + plan.head_last.len() + plan.sample_one.len(), 5 * 30 + 4);
}

/// What each family's blocks cost beyond Llama's five: a call of its own for norms of queries and keys, for each norm of a branch,
/// and for a convolution, which stands in the place of attention.
#[test]
fn blocks_of_every_family_are_few_dispatches_in_decode() {
    let config = |layers| {
        let json = format!(
            r#"{{"model_type": "llama", "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": {layers},
                "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 97}}"#
        );
        Config::parse(json.as_bytes()).unwrap()
    };
    for (name, config) in decoders::families(&config(4)) {
        let expected = match name {
            "qwen3" | "llama4" => 4 * 6,
            "olmo2" | "gemma3" => 4 * 8,
            "lfm2" => 2 * 5 + 2 * 6,
            "shared layers with windows" => 2 * 4 * 5,
            _ => 4 * 5,
        };
        for tier in [Tier::Portable, Tier::Subgroups, Tier::F16] {
            let plan = plan(&config, Q4, target(tier, false));
            let dispatches = plan.decode.len() + plan.head_last.len() + plan.sample_one.len();
            assert_eq!(dispatches, expected + 4, "{name} on {tier:?}");
        }
    }
}

/// Each different shader text is compiled once. There must be few, because users wait for the compilation.
#[test]
fn a_model_compiles_few_pipelines() {
    let json = r#"{"model_type": "mobilellm", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 32000, "share_embedding": true}"#;
    let network = Network::new(Config::parse(json.as_bytes()).unwrap());
    let affine = |bits| Format::Affine(Affine { bits, group_size: 64, scales: ScaleFormat::F16 });
    // As in quantised checkpoints: 8 bits for the embedding and the head, 4 bits between.
    let layout = |(id, rows, cols)| {
        let bits = match id {
            MatrixId::Block(1..=28, _) => 4,
            _ => 8,
        };
        (id, Layout::new(rows, cols, affine(bits), 128 << 20).unwrap())
    };
    let layouts: HashMap<_, _> = network.matrices().into_iter().map(layout).collect();
    for int8_tiles in [false, true] {
        for tier in Tier::ALL {
            let plan = Plan::new(&network, &layouts, target(*tier, int8_tiles)).unwrap();
            // The kernels for logits of all rows are compiled only when a call needs them.
            let head = plan.head_last.iter().chain(&plan.sample_one);
            let texts: BTreeSet<_> = plan.decode.iter().chain(&plan.prefill).chain(head).map(text).collect();
            assert!(texts.len() <= 20, "{tier:?} {int8_tiles}: {}", texts.len());
        }
    }
}

/// Families whose blocks are of two kinds need some of the kernels twice.
#[test]
fn models_of_every_family_compile_few_pipelines() {
    let config = r#"{"model_type": "llama", "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 8,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 97}"#;
    for (name, config) in decoders::families(&Config::parse(config.as_bytes()).unwrap()) {
        for tier in Tier::ALL {
            let plan = plan(&config, Q4, target(*tier, false));
            let head = plan.head_last.iter().chain(&plan.sample_one);
            let texts: BTreeSet<_> = plan.decode.iter().chain(&plan.prefill).chain(head).map(text).collect();
            assert!(texts.len() <= 30, "{name} on {tier:?}: {}", texts.len());
        }
    }
}

/// A window of six positions is one split of sixteen.
#[test]
fn attention_in_a_window_has_no_workgroups_for_what_it_does_not_see() {
    let config = r#"{"model_type": "llama", "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 97}"#;
    for (name, config) in decoders::families(&Config::parse(config.as_bytes()).unwrap()) {
        let plan = plan(&config, Q4, target(Tier::Portable, false));
        let attention = plan.decode.iter().filter(|call| call.shader.name() == "attention/split");
        let grids: Vec<_> = attention.map(|call| call.grid.x.workgroups(1)).collect();
        let windows = config.decoder.caches().into_iter().map(CacheSpec::window);
        let expected: Vec<_> = match name {
            "lfm2" => vec![16 * 4; 2],
            "shared layers with windows" => vec![4; 8],
            _ => windows.map(|window| if window.len().is_some() { 4 } else { 16 * 4 }).collect(),
        };
        assert_eq!(grids, expected, "{name}");
    }
}

fn text(call: &Call) -> String {
    call.shader.wgsl(Dialect::Naga)
}

/// The optional features that a text uses, in the order of the headers.
fn needs(code: &str) -> Vec<&'static str> {
    let words: BTreeSet<_> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let uses = |test: fn(&str) -> bool| words.iter().any(|word| test(word));
    // f16 also has short type names, such as vec4h and mat2x2h, and numbers such as 1h and 0.5h.
    let f16 = |word: &str| {
        let short = word.strip_suffix('h').is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_digit()));
        word == "f16" || short && word.starts_with(|c: char| c.is_ascii_digit() || c == 'v' || c == 'm')
    };
    let packed = |word: &str| {
        let word = word.trim_end_matches("Clamp");
        ["dot4I8Packed", "dot4U8Packed", "pack4xI8", "pack4xU8", "unpack4xI8", "unpack4xU8"].contains(&word)
    };
    let subgroups =
        |word: &str| word.starts_with("subgroup") || word.starts_with("quad") && word.contains("Swap");
    [
        ("shader-f16", uses(f16)),
        ("subgroups", uses(subgroups)),
        ("packed_4x8_integer_dot_product", uses(packed)),
    ]
    .into_iter()
    .filter_map(|(need, used)| used.then_some(need))
    .collect()
}

#[test]
fn headers_say_what_a_file_needs() {
    for piece in PIECES {
        let stated: Vec<_> = piece.wgsl.lines().filter_map(|line| line.strip_prefix("// Needs: ")).collect();
        let header = piece.wgsl.lines().take_while(|line| line.starts_with("//")).last();
        let name = piece.name;
        assert!(
            header.is_some_and(|line| line.starts_with("// Needs: ")),
            "{name}: the last line of the header must begin with \"// Needs: \""
        );
        let code: Vec<_> =
            piece.wgsl.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        let needs = needs(&code.join("\n"));
        let expected = if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") };
        assert_eq!(stated, [expected], "{name}");
        assert_eq!(piece.uses_f16(), needs.contains(&"shader-f16"), "{name} in USE_F16");
        assert_eq!(piece.uses_subgroups(), needs.contains(&"subgroups"), "{name} in USE_SUBGROUPS");
    }
}

#[test]
fn every_file_is_used_and_has_a_cpu_twin() {
    let used: BTreeSet<_> = shaders(&plans())
        .iter()
        .flat_map(|shader| shader.pieces().chain([shader.name()]).collect::<Vec<_>>())
        .collect();
    let mut files = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in std::fs::read_dir(root.join("shaders")).unwrap() {
        let folder = folder.unwrap().path();
        let kernel = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("// "), "{} does not open with a comment", file.display());
            files.insert(format!("{kernel}/{}", file.file_stem().unwrap().to_str().unwrap()));
        }
        if !matches!(kernel.as_str(), "lib" | "epilogue") {
            assert!(root.join(format!("src/backend/cpu/{kernel}.rs")).exists(), "{kernel} has no CPU twin");
        }
    }
    let embedded: BTreeSet<_> = PIECES.iter().map(|piece| piece.name.to_owned()).collect();
    assert_eq!(embedded, files, "embedded files");
    assert_eq!(used.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), files, "used files");
}
