//! The comparison at one position: two rows of logits.

/// How two predictions of one token differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Position {
    /// `KL(reference || run)`, nats.
    pub(super) kl: f64,
    /// Whether both have the same most likely token.
    pub(super) same_top: bool,
    /// Mean square of the difference of the logits.
    pub(super) error: f64,
    /// Mean square of the reference's logits.
    pub(super) power: f64,
    /// Negative log-probabilities of the token that follows in nats: `[run, reference]`; `None` at the end of a chunk.
    pub(super) surprise: Option<[f64; 2]>,
}

impl Position {
    /// Compares two rows of logits; `None` if a logit is not finite.
    pub(super) fn compare(run: &[f32], reference: &[f32], next: Option<u32>) -> Option<Self> {
        let (run, reference) = (Row::new(run)?, Row::new(reference)?);
        let mut position =
            Self { kl: 0.0, same_top: run.top == reference.top, error: 0.0, power: 0.0, surprise: None };
        for (&ours, &theirs) in run.logits.iter().zip(reference.logits) {
            let (ours, theirs) = (f64::from(ours), f64::from(theirs));
            let log_probability = theirs - reference.log_sum;
            position.kl += log_probability.exp() * (log_probability - (ours - run.log_sum));
            // Without the mean: a number that is added to all logits changes no probability.
            let (ours, theirs) = (ours - run.mean, theirs - reference.mean);
            position.error += (ours - theirs).powi(2);
            position.power += theirs.powi(2);
        }
        let count = run.logits.len() as f64;
        // Rounding can make a divergence of zero slightly negative.
        position.kl = position.kl.max(0.0);
        position.error /= count;
        position.power /= count;
        let surprise =
            |row: &Row, token: u32| Some(row.log_sum - f64::from(*row.logits.get(token as usize)?));
        position.surprise =
            next.and_then(|token| Some([surprise(&run, token)?, surprise(&reference, token)?]));
        Some(position)
    }
}

struct Row<'a> {
    logits: &'a [f32],
    /// The logarithm of the sum of the exponentials of the logits.
    log_sum: f64,
    mean: f64,
    top: usize,
}

impl<'a> Row<'a> {
    fn new(logits: &'a [f32]) -> Option<Self> {
        let (top, largest) = logits.iter().copied().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let (largest, mut sum, mut mean) = (f64::from(largest), 0.0, 0.0);
        for &logit in logits {
            sum += (f64::from(logit) - largest).exp();
            mean += f64::from(logit);
        }
        let log_sum = largest + sum.ln();
        (log_sum.is_finite() && mean.is_finite()).then_some(Self {
            logits,
            log_sum,
            mean: mean / logits.len() as f64,
            top,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_do_not_diverge_and_a_shift_changes_nothing() {
        let position = Position::compare(&[2.0, 3.0, 5.0], &[1.0, 2.0, 4.0], Some(1)).unwrap();
        assert!(position.kl < 1e-12 && position.error < 1e-12 && position.same_top, "{position:?}");
        let [ours, theirs] = position.surprise.unwrap();
        assert!((ours - theirs).abs() < 1e-12);
    }

    #[test]
    fn the_divergence_follows_its_definition() {
        // The run has the probabilities 3/4 and 1/4, the reference 1/2 and 1/2.
        let position = Position::compare(&[0.75f32.ln(), 0.25f32.ln()], &[0.0, 0.0], Some(0)).unwrap();
        let expected = 0.5 * (0.5f64 / 0.75).ln() + 0.5 * (0.5f64 / 0.25).ln();
        assert!((position.kl - expected).abs() < 1e-6, "{position:?}");
        assert!((position.surprise.unwrap()[0] - -(0.75f64.ln())).abs() < 1e-6);
        assert!(!Position::compare(&[0.0, 1.0], &[1.0, 0.0], None).unwrap().same_top);
    }

    #[test]
    fn rows_that_are_not_finite_give_none() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Position::compare(&[0.0, bad], &[0.0, 0.0], None), None);
            assert_eq!(Position::compare(&[0.0, 0.0], &[bad, 0.0], None), None);
        }
    }
}
