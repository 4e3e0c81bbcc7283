//! Conversations to text, compared with what `transformers` renders, and templates that misbehave.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use mobilellm::Error;
use mobilellm::tokenizer::{ChatFormat, ChatOptions, Tokenizer, TokenizerFiles};
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures")
}

/// A tokenizer with `<s>` and `</s>` and this configuration.
fn with_config(config: &Value) -> Tokenizer {
    let files = TokenizerFiles {
        tokenizer_model: Some(std::fs::read(fixtures().join("sentencepiece/tokenizer.model")).unwrap()),
        tokenizer_config: Some(config.to_string().into_bytes()),
        ..Default::default()
    };
    Tokenizer::load(&files, 1000).unwrap()
}

fn with_template(template: &str) -> Tokenizer {
    with_config(&json!({"chat_template": template}))
}

fn user(content: &str) -> Vec<Value> {
    vec![json!({"role": "user", "content": content})]
}

fn render(template: &str) -> Result<String, Error> {
    with_template(template).render_chat(&user("Who?"), &[], &ChatOptions::default())
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

#[test]
fn templates_render_as_in_transformers() {
    let expected: Value =
        serde_json::from_slice(&std::fs::read(fixtures().join("chat_templates.json")).unwrap()).unwrap();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for template in expected["templates"].as_array().unwrap() {
        let tokenizer = with_template(template["template"].as_str().unwrap());
        for case in template["cases"].as_array().unwrap() {
            cases += 1;
            let options = ChatOptions {
                add_generation_prompt: case["add_generation_prompt"] == true,
                ..ChatOptions::default()
            };
            let got = tokenizer.render_chat(&list(&case["messages"]), &list(&case["tools"]), &options);
            let as_expected = match (&got, case["rendered"].as_str(), case["error"].as_str()) {
                (Ok(text), Some(rendered), _) => text == rendered,
                (Err(Error::Template { problem }), _, Some(complaint)) => problem.ends_with(complaint),
                _ => false,
            };
            if !as_expected {
                wrong.push(format!("{}: {got:?}\n not {case}", template["name"]));
            }
        }
    }
    assert!(cases > 80, "{cases} cases");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every part of the language, one line each: what Jinja in Python makes of it, or that it raises.
#[test]
fn the_language_is_that_of_python() {
    let expected = std::fs::read(fixtures().join("template_language.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let messages = list(&expected["messages"]);
    let mut wrong = Vec::new();
    for case in expected["cases"].as_array().unwrap() {
        let tokenizer = with_template(case["template"].as_str().unwrap());
        let got = tokenizer.render_chat(&messages, &[], &ChatOptions::default());
        let is_right = match (&got, case["text"].as_str()) {
            (Ok(text), Some(expected)) => text == expected,
            (Err(Error::Template { .. }), None) => true,
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{}\n gives {got:?}\n not {case}", case["template"]));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What Python computes and the interpreter does not is an error that names it, never another text.
#[test]
fn what_is_missing_says_its_name() {
    for (template, name) in [
        ("{{ lipsum() }}", "lipsum"),
        ("{{ 'http://x.y' | urlize }}", "urlize"),
        ("{{ 10 ** 60 }}", "128 bits"),
        ("{{ 'a'.translate({}) }}", "str.translate"),
        ("{{ messages | map('length') }}", "generator"),
        ("{{ raise_exception }}", "function"),
    ] {
        let error = render(template).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("line 1"), "{error}");
    }
}

#[test]
fn prompts_of_whole_checkpoints() {
    for (name, vocab_size) in
        [("chat", 509), ("chat-named-templates", 500), ("chat-template-file", 605), ("mobilellm", 1000)]
    {
        let folder = fixtures().join("checkpoints").join(name);
        let mut files = TokenizerFiles::default();
        for file in TokenizerFiles::NAMES {
            *files.slot(file).unwrap() = std::fs::read(folder.join(file)).ok();
        }
        let tokenizer = Tokenizer::load(&files, vocab_size).unwrap();
        let expected = std::fs::read(folder.join("expected_generation.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let compare = |expected: &Value, prompt: Vec<u32>| {
            assert_eq!(json!(prompt), expected["prompt_ids"], "{name}");
            let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), expected["text"], "{name}");
        };
        if let Some(completion) = expected.get("completion") {
            compare(completion, tokenizer.encode(completion["prompt"].as_str().unwrap(), true).unwrap());
        }
        if let Some(chat) = expected.get("chat") {
            let rendered =
                tokenizer.chat_tokens(&list(&chat["messages"]), &[], &ChatOptions::default()).unwrap();
            assert_eq!(rendered.text, chat["rendered"], "{name}");
            // The template wrote the first token; it must not be there twice.
            compare(chat, rendered.ids);
        }
        assert!(expected.get("completion").or(expected.get("chat")).is_some());
    }
}

#[test]
fn tools_choose_their_own_template() {
    let tokenizer = with_config(&json!({"chat_template": [
        {"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools: {{ tools | length }}"},
    ]}));
    let options = ChatOptions::default();
    assert_eq!(tokenizer.render_chat(&user("Hi"), &[], &options).unwrap(), "plain");
    assert_eq!(tokenizer.render_chat(&user("Hi"), &[json!({})], &options).unwrap(), "tools: 1");
    let named = ChatOptions { template: Some("default".to_owned()), ..ChatOptions::default() };
    assert_eq!(tokenizer.render_chat(&user("Hi"), &[json!({})], &named).unwrap(), "plain");
    let unknown = ChatOptions { template: Some("rag".to_owned()), ..ChatOptions::default() };
    let error = tokenizer.render_chat(&user("Hi"), &[], &unknown).unwrap_err().to_string();
    assert!(error.contains("default, tool_use"), "{error}");
}

#[test]
fn the_file_takes_precedence_over_the_configuration() {
    let files = TokenizerFiles {
        tokenizer_model: Some(std::fs::read(fixtures().join("sentencepiece/tokenizer.model")).unwrap()),
        tokenizer_config: Some(json!({"chat_template": "old"}).to_string().into_bytes()),
        chat_template: Some(b"new\n".to_vec()),
        ..Default::default()
    };
    let tokenizer = Tokenizer::load(&files, 1000).unwrap();
    assert_eq!(tokenizer.render_chat(&user("Hi"), &[], &ChatOptions::default()).unwrap(), "new");
}

#[test]
fn variables_reach_the_template() {
    let tokenizer = with_template("{{ bos_token }}{{ enable_thinking }} {{ documents is none }}");
    let options = ChatOptions {
        variables: json!({"enable_thinking": false}).as_object().unwrap().clone(),
        ..ChatOptions::default()
    };
    assert_eq!(tokenizer.render_chat(&user("Hi"), &[], &options).unwrap(), "<s>False True");
}

#[test]
fn a_base_model_has_no_template_but_the_plain_format() {
    let tokenizer = with_config(&json!({}));
    assert!(!tokenizer.has_chat_template());
    let error = tokenizer.render_chat(&user("Hi"), &[], &ChatOptions::default()).unwrap_err();
    assert_eq!(error.code(), "chat_template");
    assert!(error.to_string().contains("plain"), "{error}");
    let messages = [
        json!({"role": "system", "content": "Be brief."}),
        json!({"role": "user", "content": "Hi"}),
        json!({"role": "assistant", "content": " Hello. "}),
        json!({"role": "user", "content": "Who are you?"}),
    ];
    let plain = ChatOptions { format: ChatFormat::Plain, ..ChatOptions::default() };
    assert_eq!(
        tokenizer.render_chat(&messages, &[], &plain).unwrap(),
        "<s>Be brief.\n\nUser: Hi\nAssistant: Hello.\nUser: Who are you?\nAssistant:"
    );
    assert_eq!(ChatFormat::Plain.stop_strings()[0], "\nUser:");
    let tool = [json!({"role": "tool", "content": "4"})];
    assert_eq!(tokenizer.render_chat(&tool, &[], &plain).unwrap_err().code(), "invalid_request");
    assert_eq!(tokenizer.render_chat(&messages, &tool, &plain).unwrap_err().code(), "invalid_request");
}

#[test]
fn a_syntax_error_says_the_line() {
    for template in
        ["fine\n{% if %}", "fine\n{{ 'open }}", "\n{% for message in messages %}", "\n{% nonsense %}"]
    {
        let error = render(template).unwrap_err();
        assert_eq!(error.code(), "chat_template");
        assert!(error.to_string().contains("syntax error in line 2"), "{error}");
    }
    let error = render("\n\n{{ messages | nonsense }}").unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("nonsense"), "{error}");
}

#[test]
fn a_template_that_does_not_end_is_stopped() {
    let endless = [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for a in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
        "{{ 'ab' * 100000000 }}",
        "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% for a in range(100000) %}{{ messages | tojson(indent=60) }}{{ 'x' * 1000 }}{% endfor %}",
    ];
    for template in endless {
        // Without the result in the message: it may be long.
        assert!(matches!(render(template), Err(Error::Template { .. })), "{template}");
    }
    assert!(render(endless[0]).unwrap_err().to_string().contains("does not come to an end"));
}

#[test]
fn deep_templates_do_not_exhaust_the_stack() {
    // The stack of a WebAssembly module is 1 MiB. The first length is read, the second is refused.
    let deep = |n: usize| {
        [
            format!("{{{{ {}1{} }}}}", "(".repeat(n), ")".repeat(n)),
            format!("{{{{ {}1{} }}}}", "[".repeat(n), "]".repeat(n)),
            format!("{{{{ {}1 }}}}", "not ".repeat(n)),
            format!("{{{{ {}1 }}}}", "-".repeat(n)),
            format!("{{{{ 1{} }}}}", "+1".repeat(n)),
            format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(n)),
            format!("{{{{ messages{} }}}}", "[0]".repeat(n)),
            format!("{{{{ messages{} }}}}", "|list".repeat(n)),
            "{% if true %}".repeat(n),
            format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(n)),
            format!("{{{{ '}}}}' ~ {}1 }}}}", "not ".repeat(n)),
            format!("{{# ' #}}{{{{ {}1 }}}}", "not ".repeat(n)),
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        ]
    };
    let deep: Vec<String> = [200, 10_000].into_iter().flat_map(deep).collect();
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        for template in deep {
            // Some of them are merely long; none may overflow.
            drop(render(&template));
        }
        let mut nested = json!("x");
        for _ in 0..10_000 {
            nested = Value::Array(vec![nested]);
        }
        let mut messages = user("x");
        messages[0]["extra"] = nested;
        let error =
            with_template("{{ messages | tojson }}").render_chat(&messages, &[], &ChatOptions::default());
        assert_eq!(error.unwrap_err().code(), "invalid_request");
        // Dropping a value this deep would overflow by itself.
        std::mem::forget(messages);
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn messages_of_another_shape_are_named() {
    let tokenizer = with_template("{{ messages[0].content }}");
    let cases = [
        (json!(["Hi"]), "messages[0]"),
        (json!([{"role": "user", "content": "Hi"}, {"content": "Hi"}]), "messages[1].role"),
    ];
    for (messages, field) in cases {
        match tokenizer.render_chat(&list(&messages), &[], &ChatOptions::default()) {
            Err(Error::Request { field: got, .. }) => assert_eq!(got, field),
            other => panic!("{messages}: {other:?}"),
        }
    }
}

/// What a message has as content is for the template to judge; it must not be made to look like an empty text.
#[test]
fn content_reaches_the_template_as_it_is() {
    let tokenizer = with_template(
        "{% for m in messages %}{% if m.content is not defined %}absent{% elif m.content is none %}null\
         {% elif m.content is string %}text {{ m.content }}{% else %}{{ m.content | map(attribute='type') | join('+') }}{% endif %};{% endfor %}",
    );
    let messages = json!([{"role": "user", "content": ""}, {"role": "assistant", "content": null}, {"role": "assistant"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}]);
    let text = tokenizer.render_chat(&list(&messages), &[], &ChatOptions::default()).unwrap();
    assert_eq!(text, "text ;null;absent;text+image;");
    // The plain format has no template that could judge.
    let plain = ChatOptions { format: ChatFormat::Plain, ..ChatOptions::default() };
    let error = tokenizer.render_chat(&list(&messages), &[], &plain).unwrap_err();
    assert!(error.to_string().contains("messages[1].content"), "{error}");
    let parts =
        json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]);
    assert_eq!(tokenizer.render_chat(&list(&parts), &[], &plain).unwrap(), "<s>User: ab\nAssistant:");
}

#[test]
fn arguments_of_tool_calls_are_objects_for_the_template() {
    let tokenizer = with_template(
        "{{ messages[0].tool_calls[0].function.arguments | tojson }}{{ messages[0].content }}|",
    );
    let call = |arguments: Value| {
        json!([{"role": "assistant", "content": null, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}]}])
    };
    let render =
        |arguments| tokenizer.render_chat(&list(&call(arguments)), &[], &ChatOptions::default()).unwrap();
    assert_eq!(render(json!(r#"{"b":1,"a":[2]}"#)), r#"{"b": 1, "a": [2]}None|"#);
    assert_eq!(render(json!({"b": 1})), r#"{"b": 1}None|"#);
    assert_eq!(render(json!("not json")), r#""not json"None|"#);
}

#[test]
fn values_are_written_as_python_writes_them() {
    // Each with what Jinja in Python gives.
    let cases = [
        (
            "{{ [1, 2.5, 'é\"<', none, true, {'k': [], 'a': {}}] | tojson }}",
            r#"[1, 2.5, "é\"<", null, true, {"k": [], "a": {}}]"#,
        ),
        (
            "{{ {'b': [1, {'c': []}], 'a': {}} | tojson(indent=2) }}",
            "{\n  \"b\": [\n    1,\n    {\n      \"c\": []\n    }\n  ],\n  \"a\": {}\n}",
        ),
        (
            "{{ {'b': 1, 'a': 'é🦙'} | tojson(ensure_ascii=true, sort_keys=true) }}",
            r#"{"a": "\u00e9\ud83e\udd99", "b": 1}"#,
        ),
        ("{{ [1, {'a': 2}] | tojson(separators=(',', ':')) }}", r#"[1,{"a":2}]"#),
        ("{{ [1e16, 1e-5, 123456789.0, 0.0001] | tojson }}", "[1e+16, 1e-05, 123456789.0, 0.0001]"),
        ("{{ '\\x07\\n\\t' | tojson }}", r#""\u0007\n\t""#),
        (
            "{{ true }} {{ none }} {{ [none, false, 'it\\'s', 'a\"b', 1.0] }}",
            r#"True None [None, False, "it's", 'a"b', 1.0]"#,
        ),
        ("{{ {'a': {'b': ['x']}} }}", "{'a': {'b': ['x']}}"),
        ("{{ missing }}|{{ messages[0].missing }}|", "||"),
        ("{{ strftime_now('%%') }}{{ strftime_now is defined }}", "%True"),
    ];
    for (template, expected) in cases {
        assert_eq!(render(template).unwrap(), expected, "{template}");
    }
}
