//! The command line as its user sees it: output, exit codes, messages.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails here should say so")]

use std::path::PathBuf;
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::Value;

fn checkpoint(name: &str) -> String {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/fixtures/checkpoints");
    fixtures.join(name).to_str().unwrap().to_owned()
}

fn run(args: &[&str]) -> Output {
    cargo_bin_cmd!("mobilellm").args(args).output().unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).unwrap()
}

/// Exit code and message of a command that fails.
fn failure(args: &[&str]) -> (Option<i32>, String) {
    let output = run(args);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn generate_prints_the_text_that_transformers_generates() {
    let model = checkpoint("chat");
    let expected = std::fs::read_to_string(format!("{model}/expected_generation.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let prompt = expected["completion"]["prompt"].as_str().unwrap();
    let common =
        ["generate", "--model", &model, "--backend", "cpu", "--weights", "f32", "--max-tokens", "16"];
    let flags = [&common[..], &["--prompt", prompt, "--json"]].concat();
    let answer = json(&flags);
    assert_eq!(answer["tokens"], expected["completion"]["ids"]);
    assert_eq!(answer["text"], expected["completion"]["text"]);
    assert_eq!(answer["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 16);
    assert_eq!(
        answer["usage"]["prompt_tokens"],
        expected["completion"]["prompt_ids"].as_array().unwrap().len()
    );
    for timing in ["load_ms", "prefill_tokens_per_s", "decode_tokens_per_s"] {
        assert!(answer["timings"][timing].as_f64().unwrap() > 0.0, "{timing}");
    }
    let streamed = stdout(&[&common[..], &["--prompt", prompt]].concat());
    assert_eq!(streamed.trim_end_matches('\n'), answer["text"].as_str().unwrap());

    let question = expected["chat"]["messages"][0]["content"].as_str().unwrap();
    let answer = json(&[&common[..], &["--chat", question, "--json"]].concat());
    assert_eq!(answer["tokens"], expected["chat"]["ids"]);
}

#[test]
fn a_seed_repeats_itself_and_a_stop_string_ends() {
    let model = checkpoint("chat");
    let text = |seed: &str| {
        let sampled =
            ["generate", "--model", &model, "--backend", "cpu", "--prompt", "Alice", "--max-tokens", "24"];
        stdout(&[&sampled[..], &["--temperature", "1.5", "--top-p", "0.95", "--seed", seed]].concat())
    };
    assert_eq!(text("1"), text("1"));
    assert_ne!(text("1"), text("2"));

    let greedy = ["generate", "--model", &model, "--backend", "cpu", "--prompt", "Alice", "--json"];
    let whole = json(&[&greedy[..], &["--max-tokens", "24"]].concat());
    let whole = whole["text"].as_str().unwrap();
    let stop: String = whole.chars().skip(3).take(4).collect();
    let stopped = json(&[&greedy[..], &["--max-tokens", "24", "--stop", &stop]].concat());
    assert_eq!(stopped["finish_reason"], "stop");
    assert_eq!(stopped["text"].as_str().unwrap(), &whole[..whole.find(&stop).unwrap()]);
}

/// The tensors of a fixture's expectations or of a file that the command line wrote: shape and f32 values.
fn tensor(path: &str, name: &str) -> (Vec<usize>, Vec<[u8; 4]>) {
    let bytes = std::fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let words = tensor.data().chunks_exact(4).map(|word| word.try_into().unwrap()).collect();
    (tensor.shape().to_vec(), words)
}

#[test]
fn logits_are_written_as_safetensors() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let model = checkpoint("biases");
    let expected = format!("{model}/expected.safetensors");
    let (_, ids) = tensor(&expected, "tokens");
    let ids: Vec<String> = ids.into_iter().map(|id| u32::from_le_bytes(id).to_string()).collect();
    let ids = ids.join(",");
    let common = ["logits", "--model", &model, "--backend", "cpu", "--weights", "f32", "--quiet"];
    stdout(&[&common[..], &["--tokens", &ids, "--out", path]].concat());

    let file = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&file).unwrap();
    assert_eq!(file.names(), ["logits"]);
    assert_eq!(file.tensor("logits").unwrap().dtype(), safetensors::Dtype::F32);
    let ((shape, ours), (expected_shape, theirs)) = (tensor(path, "logits"), tensor(&expected, "logits"));
    assert_eq!(shape, expected_shape, "tokens by vocabulary");
    let theirs: Vec<f32> = theirs.into_iter().map(f32::from_le_bytes).collect();
    let largest = theirs.iter().fold(0f32, |max, logit| max.max(logit.abs()));
    for (ours, theirs) in ours.into_iter().map(f32::from_le_bytes).zip(theirs) {
        assert!((ours - theirs).abs() <= 1e-3 * largest, "{ours} is not {theirs}");
    }
}

#[test]
fn tokens_there_and_back() {
    let model = checkpoint("mobilellm");
    let tokens = json(&["tokenize", "--model", &model, "Alice was not", "--json"]);
    let ids: Vec<String> = tokens["ids"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(tokens["ids"][0], 1, "the beginning token is added");
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), ids.len());
    let ids = ids.join(",");
    assert_eq!(stdout(&["detokenize", "--model", &model, "--skip-special", &ids]), "Alice was not\n");
}

#[test]
fn a_base_model_chats_in_the_plain_format() {
    let model = checkpoint("mobilellm");
    let common = ["--model", &model, "--backend", "cpu", "--max-tokens", "12", "--json"];
    let chat = json(&[&["generate", "--chat", "Hi", "--plain"], &common[..]].concat());
    let text = json(&[&["generate", "--prompt", "User: Hi\nAssistant:"], &common[..]].concat());
    assert_eq!(chat["usage"]["prompt_tokens"], text["usage"]["prompt_tokens"], "one token begins the text");
    let (code, message) = failure(&["generate", "--model", &model, "--chat", "Hi"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("plain"), "{message}");
    // The space before the first word continues a text, but begins no answer.
    assert_eq!(chat["tokens"], text["tokens"]);
    assert_eq!(format!(" {}", chat["text"].as_str().unwrap()), text["text"]);
}

#[test]
fn wrong_usage_is_2_and_failure_is_1() {
    let model = checkpoint("mobilellm");
    assert_eq!(failure(&["generate", "--model", &model]).0, Some(2));
    assert_eq!(failure(&["generate", "--model", &model, "--prompt", "a", "--weights", "q3"]).0, Some(2));
    assert_eq!(failure(&["fly"]).0, Some(2));
    // Known before the model is looked for.
    for (flag, value) in
        [("--temperature", "-1"), ("--top-p", "7"), ("--max-tokens", "0"), ("--min-p", "nan"), ("--stop", "")]
    {
        let (code, message) = failure(&["generate", "--model", "/nowhere", "--prompt", "a", flag, value]);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(flag), "{message}");
    }

    for (flag, value) in [("--bits", "5"), ("--group-size", "48"), ("--override", "lm_head")] {
        let (code, message) = failure(&["quantize", "/nowhere", "/nowhere/copy", flag, value]);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(flag), "{message}");
    }

    let (code, message) = failure(&["generate", "--model", "/nowhere", "--prompt", "a"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("/nowhere") && message.contains("config.json"), "{message}");
    let (code, message) = failure(&["generate", "--model", &model, "--backend", "cpu", "--chat", "hello"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("chat template"), "{message}");
    let (code, message) = failure(&[
        "logits",
        "--model",
        &model,
        "--backend",
        "cpu",
        "--tokens",
        "99999",
        "--out",
        "/dev/null",
    ]);
    assert_eq!(code, Some(1));
    assert!(message.contains("99999") && message.contains("vocabulary"), "{message}");
}

/// A misspelt folder looks like a name on the hub.
#[test]
fn nobody_goes_to_the_hub_unknowingly() {
    let mut command = cargo_bin_cmd!("mobilellm");
    // No test leaves this machine.
    command.env("HTTPS_PROXY", "http://127.0.0.1:9");
    let output = command.args(["inspect", "models/misspelt"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("no folder models/misspelt here"), "{message}");
    assert!(
        message.contains("cannot read https://huggingface.co/models/misspelt/resolve/main/"),
        "{message}"
    );
}

/// Such as `head`, or a pager that is left: no failure of ours, and no panic.
#[cfg(unix)]
#[test]
fn a_reader_that_leaves_is_no_failure() {
    use std::process::{Command, Stdio};

    let model = checkpoint("chat");
    for args in [
        &["inspect", &model][..],
        &["inspect", &model, "--json"],
        &["tokenize", "--model", &model, "Hello"],
        &["tokenize", "--model", &model, "Hello", "--json"],
        &["detokenize", "--model", &model, "5", "6"],
        &["generate", "--model", &model, "--backend", "cpu", "--prompt", "a", "--max-tokens", "3"],
        &["generate", "--model", &model, "--backend", "cpu", "--prompt", "a", "--max-tokens", "3", "--json"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mobilellm"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !message.contains("panicked"), "{args:?}: {message}");
    }
}

/// The wire of a log, or of another program, wants no colours.
#[test]
fn warnings_are_plain_text_where_nobody_sees_colours() {
    let folder = tempfile::tempdir().unwrap();
    let model = PathBuf::from(checkpoint("chat"));
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(model.join(name), folder.path().join(name)).unwrap();
    }
    // The last weight is not a number.
    let mut weights = std::fs::read(model.join("model.safetensors")).unwrap();
    let end = weights.len();
    weights[end - 2..].copy_from_slice(&[0xc0, 0x7f]);
    std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    let folder = folder.path().to_str().unwrap();
    let (code, message) =
        failure(&["generate", "--model", folder, "--prompt", "a", "--backend", "cpu", "--quiet"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("WARN model.norm: some weights are infinite or not a number"), "{message}");
    assert!(message.contains("no finite value") && !message.contains('\u{1b}'), "{message}");
}

#[test]
fn a_text_may_begin_with_a_hyphen() {
    let model = checkpoint("chat");
    let prompt =
        ["generate", "--model", &model, "--backend", "cpu", "--max-tokens", "1", "--prompt", "-5 apples"];
    stdout(&prompt);
    let ids =
        |args: &[&str]| json(&[&["tokenize", "--model", &model, "--json"], args].concat())["ids"].clone();
    assert_eq!(ids(&["- list"]), ids(&["--", "- list"]));
}

/// What only the weights could say is not asked: they end after their header.
#[test]
fn a_tokenizer_that_is_missing_is_missed_before_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let model = PathBuf::from(checkpoint("chat"));
    std::fs::copy(model.join("config.json"), folder.path().join("config.json")).unwrap();
    let mut weights = std::fs::read(model.join("model.safetensors")).unwrap();
    weights.truncate(8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize);
    std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
    let folder = folder.path().to_str().unwrap();
    let (code, message) = failure(&["generate", "--model", folder, "--prompt", "a", "--backend", "cpu"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("tokenizer.json is missing"), "{message}");
}

#[test]
fn a_prompt_that_does_not_fit_says_by_how_much() {
    let model = checkpoint("mobilellm");
    let prompt = "word ".repeat(50);
    let flags = ["generate", "--model", &model, "--backend", "cpu", "--context", "16", "--prompt", &prompt];
    let (code, message) = failure(&flags);
    assert_eq!(code, Some(1));
    assert!(message.contains("87 too many for the context of 16"), "{message}");
}

#[test]
fn a_function_that_is_offered_is_called() {
    let model = format!("{}/../models/mobilellm-47m-chat", env!("CARGO_MANIFEST_DIR"));
    let tools = tools_file(
        r#"[{"type": "function", "function": {"name": "get_weather", "description": "Get the weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]"#,
    );
    let question =
        ["generate", "--model", &model, "--backend", "cpu", "--chat", "What is the weather in Paris?"];
    let text = stdout(&[&question[..], &["--tools", tools.path().to_str().unwrap()]].concat());
    let call = text.trim().strip_prefix("<tool_call>").and_then(|rest| rest.strip_suffix("</tool_call>"));
    let call: Value = serde_json::from_str(call.unwrap_or_else(|| panic!("{text}"))).unwrap();
    assert_eq!(call["name"], "get_weather");
    assert!(call["arguments"].to_string().contains("Paris"), "{text}");
    assert!(!stdout(&question).contains("tool_call"), "nothing was offered");
}

#[test]
fn a_file_of_tools_that_is_none_is_refused_before_the_model_is_looked_for() {
    let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
    let huge = format!("[{}]", " ".repeat(1 << 20));
    for (content, problem) in [
        ("", "not valid JSON"),
        ("[{]", "not valid JSON"),
        (&deep, "recursion limit"),
        (&huge, "larger than 1048576 bytes"),
        (r#"{"type": "function"}"#, "must be a JSON list"),
        ("[]", "leave out --tools"),
        (
            r#"[{"type": "function", "function": {"name": "f"}}, 7]"#,
            "[1]: type must be \"function\", not null",
        ),
        (r#"[{"type": "retrieval"}]"#, "type must be \"function\", not \"retrieval\""),
        (r#"[{"type": "function", "function": "f"}]"#, "function must be an object"),
        (r#"[{"type": "function", "function": {"name": ""}}]"#, "function.name must be a string"),
        (r#"[{"type": "function", "function": {"name": "f", "description": 1}}]"#, "function.description"),
        (r#"[{"type": "function", "function": {"name": "f", "parameters": []}}]"#, "function.parameters"),
    ] {
        let file = tools_file(content);
        let path = file.path().to_str().unwrap();
        let (code, message) = failure(&["generate", "--model", "/nowhere", "--chat", "Hi", "--tools", path]);
        assert_eq!(code, Some(1), "{message}");
        assert!(message.contains(problem) && message.contains(path), "{message}");
    }
    let (_, message) = failure(&["generate", "--model", "/nowhere", "--chat", "Hi", "--tools", "/no/file"]);
    assert!(message.contains("/no/file"), "{message}");
    // They belong to a chat; a completion would pass over them in silence.
    for flag in [&["--tools", "x"][..], &["--system", "x"], &["--plain"]] {
        let (code, message) =
            failure(&[&["generate", "--model", "/nowhere", "--prompt", "Hi"], flag].concat());
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(flag[0]), "{message}");
    }
}

#[test]
fn a_template_without_a_place_for_tools_says_so() {
    let tools = tools_file(r#"[{"type": "function", "function": {"name": "f"}}]"#);
    let path = tools.path().to_str().unwrap();
    let chat =
        ["generate", "--model", &checkpoint("chat"), "--backend", "cpu", "--chat", "Hi", "--tools", path];
    let (code, message) = failure(&chat);
    assert_eq!(code, Some(1));
    assert!(message.contains("does not support tools"), "{message}");
}

fn tools_file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

/// What `mobilellm chat` prints when it is told these lines.
fn chat(lines: &str) -> String {
    let model = checkpoint("chat");
    let output = cargo_bin_cmd!("mobilellm")
        .args(["chat", "--model", &model, "--backend", "cpu", "--max-tokens", "8", "--temperature", "0"])
        .write_stdin(lines)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn chat_keeps_the_conversation() {
    let (first, second) = (chat("Hello\n"), chat("Again\n"));
    assert!(!first.is_empty());
    let both = chat("Hello\nAgain\n");
    let answer = both.strip_prefix(&first).expect("the first answer is the same");
    assert!(!answer.is_empty());
    assert_ne!(answer, second, "the second answer knows of the first message");
    assert_eq!(chat("Hello\n/clear\nAgain\n"), format!("{first}{second}"));
    assert_eq!(chat("Hello\n/retry\n"), format!("{first}{first}"));
    assert_ne!(chat("/system Speak like a pirate\nHello\n"), first);
    let words = chat("/nonsense\n/retry\n/exit\nHello\n");
    assert!(words.contains("/nonsense is not a command"), "{words}");
    assert!(words.contains("nothing to answer yet") && !words.contains(&first), "{words}");
}

/// It stops an answer, or comes after it; in neither case does it end the conversation.
#[cfg(unix)]
#[test]
fn ctrl_c_stops_an_answer_and_not_the_chat() {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    let mut chat = Command::new(env!("CARGO_BIN_EXE_mobilellm"))
        .args(["chat", "--model", &checkpoint("chat"), "--backend", "cpu", "--quiet", "--temperature", "3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut lines, mut answer) = (chat.stdin.take().unwrap(), chat.stdout.take().unwrap());
    lines.write_all(b"Hello\n").unwrap();
    answer.read_exact(&mut [0]).unwrap();
    assert!(Command::new("kill").args(["-INT", &chat.id().to_string()]).status().unwrap().success());
    lines.write_all(b"/help\n").unwrap();
    drop(lines);
    let mut text = Vec::new();
    answer.read_to_end(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(chat.wait().unwrap().success(), "{text}");
    assert!(text.contains("Type a message"), "it still listens: {text}");
}

#[test]
fn inspect_says_what_it_is() {
    let inspection = json(&["inspect", &checkpoint("mobilellm-ls"), "--json"]);
    assert_eq!(inspection["layer_sharing"], true);
    assert_eq!(inspection["model_type"], "mobilellm");
    let config = std::fs::read_to_string(format!("{}/config.json", checkpoint("mobilellm-ls"))).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let size = |field: &str| config[field].as_u64().unwrap();
    for field in ["num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size"] {
        assert_eq!(inspection[field], config[field], "{field}");
    }
    let number = |value: &Value| value.as_u64().unwrap();
    let parameters = &inspection["parameters"];
    assert_eq!(number(&parameters["embedding"]), size("vocab_size") * size("hidden_size"));
    // Blocks and embedding, and the last norm.
    let blocks = size("num_hidden_layers") * number(&parameters["per_layer"]);
    assert_eq!(number(&parameters["total"]), blocks + number(&parameters["embedding"]) + size("hidden_size"));
    // Keys and values of two runs a block, two bytes each.
    let width = size("num_key_value_heads") * number(&inspection["head_dim"]);
    assert_eq!(number(&inspection["kv_bytes_per_token"]), 2 * size("num_hidden_layers") * 2 * width * 2);
    let stored = inspection["dtypes"].as_object().unwrap();
    assert!(stored.values().map(|dtype| number(&dtype["bytes"])).sum::<u64>() < number(&inspection["bytes"]));
    assert_eq!(
        (&inspection["tokenizer"], &inspection["chat_template"], &inspection["quantization"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );

    let text = stdout(&["inspect", &checkpoint("mobilellm-ls")]);
    assert!(text.contains("each run twice"), "{text}");
    let chat = json(&["inspect", &checkpoint("chat"), "--json"]);
    assert_eq!(chat["tokenizer"], "tokenizer.json");
    assert_eq!(chat["chat_template"], "tokenizer_config.json");
    let quantised = json(&["inspect", &checkpoint("mlx-q4"), "--json"]);
    assert!(quantised["quantization"].as_str().unwrap().starts_with("4 bits"), "{quantised}");
    assert_eq!(json(&["inspect", &checkpoint("mobilellm"), "--json"])["tokenizer"], "tokenizer.model");
}

#[test]
fn a_quantised_copy_loads_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let copy = copy.to_str().unwrap();
    let flags = ["quantize", &checkpoint("tied-gqa3"), copy, "--bits", "8", "--group-size", "32", "--quiet"];
    stdout(&flags);
    let inspection = json(&["inspect", copy, "--json"]);
    assert!(inspection["quantization"].is_string(), "{inspection}");
    let out = folder.path().join("logits.safetensors");
    stdout(&[
        "logits",
        "--model",
        copy,
        "--tokens",
        "1,2",
        "--backend",
        "cpu",
        "--out",
        out.to_str().unwrap(),
    ]);
    let (code, message) = failure(&flags);
    assert_eq!(code, Some(1));
    assert!(message.contains("empty"), "{message}");
}

#[test]
fn bench_measures_any_shape_and_prints_a_line_of_json() {
    let small = [
        "--prefill",
        "4,8",
        "--decode",
        "5",
        "--context",
        "20",
        "--repeat",
        "1",
        "--backend",
        "cpu",
        "--quiet",
    ];
    let report = json(&[&["bench", "--shape", "2x64", "--vocab", "64", "--json"], &small[..]].concat());
    assert_eq!(report["shape"]["vocab_size"], 64);
    assert_eq!(report["prefill"].as_array().unwrap().len(), 2);
    assert!(report["decode"][1]["tokens_per_s"].as_f64().unwrap() > 0.0);
    let text = stdout(&[&["bench", "--model", &checkpoint("chat")], &small[..]].concat());
    assert!(text.contains("decode at"), "{text}");

    let (code, message) = failure(&["bench", "--shape", "mobilellm-2b"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("mobilellm-1b"), "{message}");
    let (code, message) = failure(&["bench", "--shape", "2x64", "--heads", "3"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("num_attention_heads"), "{message}");
    let (code, message) = failure(&["bench", "--study", "width"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("layer-sharing"), "{message}");
    assert_eq!(failure(&["bench", "--study", "depth", "--shape", "2x64"]).0, Some(2));
    for wrong in [
        ["--tier", "turbo"],
        ["--int8-tiles", "yes"],
        ["--prefill", "4,0"],
        ["--decode", "0"],
        ["--repeat", "0"],
        ["--limit", "nan"],
    ] {
        let (code, message) = failure(&["bench", "--shape", "2x64", wrong[0], wrong[1]]);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(wrong[0]), "{message}");
    }
}
