//! The different shader texts of one kernel in a plan, each with the first call that uses it.

use std::collections::BTreeSet;

use mobilellm::backend::gpu::Dialect;
use mobilellm::backend::gpu::plan::{Call, Plan};

use super::line;

/// The folder of the epilogues.
const EPILOGUE: &str = "epilogue/";

/// One shader text.
struct Variant {
    /// The first call that uses it.
    label: String,
    pieces: BTreeSet<&'static str>,
    wgsl: String,
}

/// The variants of a kernel.
pub(crate) struct Variants(Vec<Variant>);

impl Variants {
    /// The variants, in the order of the plan.
    pub(crate) fn of(plan: &Plan, name: &str, dialect: Dialect) -> Self {
        let mut seen = BTreeSet::new();
        let mut variants = Vec::new();
        for (rows, calls) in parts(plan) {
            for call in calls.iter().filter(|call| call.shader.name() == name) {
                let wgsl = call.shader.wgsl(dialect);
                if seen.insert(wgsl.clone()) {
                    let label = format!("{}, {rows}", call.label);
                    variants.push(Variant { label, pieces: call.shader.pieces().collect(), wgsl });
                }
            }
        }
        Self(variants)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The variants with this epilogue.
    pub(crate) fn with_epilogue(self, epilogue: &str) -> Result<Self, String> {
        let piece = format!("{EPILOGUE}{epilogue}");
        let all: BTreeSet<_> = self.0.iter().flat_map(|variant| &variant.pieces).copied().collect();
        if all.contains(&*piece) {
            return Ok(Self(self.0.into_iter().filter(|variant| variant.pieces.contains(&*piece)).collect()));
        }
        let epilogues: Vec<_> = all.iter().filter_map(|piece| piece.strip_prefix(EPILOGUE)).collect();
        Err(if epilogues.is_empty() {
            "this kernel has no epilogue".to_owned()
        } else {
            format!("this kernel has no epilogue {epilogue:?}; its epilogues are {}", epilogues.join(", "))
        })
    }

    /// The text of variant `nth`, counted from 1.
    pub(crate) fn text(&self, nth: usize) -> Result<&str, String> {
        let variant = nth.checked_sub(1).and_then(|index| self.0.get(index));
        variant
            .map(|variant| &*variant.wgsl)
            .ok_or_else(|| format!("--nth must be from 1 to {}", self.0.len()))
    }

    /// A list of all variants that marks variant `nth`; empty if there is only one.
    pub(crate) fn note(&self, nth: usize) -> String {
        let mut note = String::new();
        if self.0.len() < 2 {
            return note;
        }
        line(
            &mut note,
            "Several shaders fit. Choose one with --nth NUMBER, or an epilogue with --epilogue NAME:",
        );
        let common = |piece: &str| self.0.iter().all(|variant| variant.pieces.contains(piece));
        for (index, variant) in self.0.iter().enumerate() {
            let mark = if index + 1 == nth { "*" } else { " " };
            let own: Vec<_> = variant.pieces.iter().copied().filter(|piece| !common(piece)).collect();
            line(
                &mut note,
                format!("{mark}{:2}  {}  {}", index + 1, variant.label, own.join(" ")).trim_end(),
            );
        }
        note
    }
}

/// The lists of calls, each with the rows that it computes.
fn parts(plan: &Plan) -> [(&'static str, &[Call]); 7] {
    [
        ("decode", &plan.decode),
        ("prefill", &plan.prefill),
        ("one row", &plan.head_last),
        ("every row of decode", &plan.head_decode),
        ("every row of prefill", &plan.head_prefill),
        ("one row", &plan.sample_one),
        ("every row", &plan.sample_all),
    ]
}
