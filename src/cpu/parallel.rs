//! Dividing work among threads; one thread where there is only one (a web page).

/// Calls `work(index, chunk)` for each chunk of `out`, on all threads of the pool.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn for_each_chunk(out: &mut [f32], chunk: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    use rayon::prelude::*;
    if out.len() <= chunk {
        work(0, out);
    } else {
        out.par_chunks_mut(chunk).enumerate().for_each(|(index, chunk)| work(index, chunk));
    }
}

/// Calls `work(index, chunk)` for each chunk of `out`.
#[cfg(target_arch = "wasm32")]
pub(crate) fn for_each_chunk(out: &mut [f32], chunk: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    out.chunks_mut(chunk).enumerate().for_each(|(index, chunk)| work(index, chunk));
}

/// How many chunks make the work even without making it small.
pub(crate) fn threads() -> usize {
    #[cfg(not(target_arch = "wasm32"))]
    return rayon::current_num_threads();
    #[cfg(target_arch = "wasm32")]
    1
}
