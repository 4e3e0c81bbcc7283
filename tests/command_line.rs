//! The command line as its user sees it: output, exit codes, messages.

#![allow(clippy::unwrap_used, reason = "a test that fails here should say so")]

use std::path::PathBuf;
use std::process::Output;

use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::Value;

fn checkpoint(name: &str) -> String {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures/checkpoints");
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

#[test]
fn logits_are_written_as_safetensors() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    stdout(&[
        "logits",
        "--model",
        &checkpoint("biases"),
        "--tokens",
        "1,5,7",
        "--backend",
        "cpu",
        "--out",
        path,
    ]);
    let bytes = std::fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let logits = tensors.tensor("logits").unwrap();
    assert_eq!(logits.dtype(), safetensors::Dtype::F32);
    assert_eq!(logits.shape()[0], 3);
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
        [("--temperature", "-1"), ("--top-p", "7"), ("--max-tokens", "0"), ("--min-p", "nan")]
    {
        let (code, message) = failure(&["generate", "--model", "/nowhere", "--prompt", "a", flag, value]);
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
    assert!(message.contains("more than the context of 16"), "{message}");
}

#[test]
fn a_function_that_is_offered_is_called() {
    let model = format!("{}/models/mobilellm-47m-chat", env!("CARGO_MANIFEST_DIR"));
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
        ("", "no JSON"),
        ("[{]", "no JSON"),
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
    assert!(message.contains("no place for tools"), "{message}");
}

fn tools_file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

#[test]
fn chat_keeps_the_conversation() {
    let model = checkpoint("chat");
    let output = cargo_bin_cmd!("mobilellm")
        .args(["chat", "--model", &model, "--backend", "cpu", "--max-tokens", "4"])
        .write_stdin("Hello\n/clear\nHello again\n/nonsense\n/exit\n")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("/nonsense is not a command"));
}

#[test]
fn inspect_says_what_it_is() {
    let inspection = json(&["inspect", &checkpoint("mobilellm-ls"), "--json"]);
    assert_eq!(inspection["layer_sharing"], true);
    assert_eq!(inspection["model_type"], "mobilellm");
    assert!(inspection["parameters"]["total"].as_u64().unwrap() > 0);
    let text = stdout(&["inspect", &checkpoint("mobilellm-ls")]);
    assert!(text.contains("each run twice"), "{text}");
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
    assert_eq!(code, Some(1));
    assert!(message.contains("mobilellm-1b"), "{message}");
    let (code, message) = failure(&["bench", "--shape", "2x64", "--heads", "3"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("num_attention_heads"), "{message}");
    let (code, message) = failure(&["bench", "--study", "width"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("layer-sharing"), "{message}");
    assert_eq!(failure(&["bench", "--study", "depth", "--shape", "2x64"]).0, Some(2));
}
