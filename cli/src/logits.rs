//! `mobilellm logits`: the logits of every token, to compare with other software.

use anyhow::Result;
use mobilellm::Error;
use mobilellm::backend::Wanted;
use safetensors::tensor::{Dtype, TensorView};

use crate::flags::Logits;
use crate::load;

pub(crate) fn run(flags: &Logits) -> Result<()> {
    pollster::block_on(async {
        let loaded = load::engine(&flags.model, false).await?;
        let mut state = loaded.engine.state()?;
        let limit = state.max_positions();
        if flags.tokens.len() > limit {
            let prompt = flags.tokens.len();
            return Err(Error::ContextOverflow { prompt, limit, excess: prompt - limit }.into());
        }
        let mut logits = Vec::new();
        state.expect(flags.tokens.len());
        for batch in flags.tokens.chunks(state.max_logit_rows()) {
            logits.extend(state.forward(batch, Wanted::All).await?);
        }
        let vocab_size = logits.len() / flags.tokens.len();
        let bytes: Vec<u8> = logits.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, vec![flags.tokens.len(), vocab_size], &bytes)?;
        safetensors::serialize_to_file([("logits", view)], None, &flags.out).map_err(|error| {
            Error::write(
                flags.out.display(),
                error,
                "Check that the folder exists and that the disk has space",
            )
        })?;
        Ok(())
    })
}
