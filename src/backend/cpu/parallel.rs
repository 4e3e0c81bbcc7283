//! Divides work among threads. In a web page there is only one thread.

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

/// Calls `work(index, rows)` for each block of `block` columns of `out`, on all threads of the pool. The rows of `out`
/// have `width` values; `rows` has the block's part of every row.
pub(crate) fn for_each_block(
    out: &mut [f32],
    width: usize,
    block: usize,
    work: impl Fn(usize, &mut [&mut [f32]]) + Sync,
) {
    if out.len() == width {
        return for_each_chunk(out, block, |index, chunk| work(index, &mut [chunk]));
    }
    let mut blocks: Vec<Vec<&mut [f32]>> = Vec::new();
    blocks.resize_with(width.div_ceil(block), || Vec::with_capacity(out.len() / width));
    for row in out.chunks_exact_mut(width) {
        for (rows, part) in blocks.iter_mut().zip(row.chunks_mut(block)) {
            rows.push(part);
        }
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        use rayon::prelude::*;
        blocks.par_iter_mut().enumerate().for_each(|(index, rows)| work(index, rows));
    }
    #[cfg(target_arch = "wasm32")]
    blocks.iter_mut().enumerate().for_each(|(index, rows)| work(index, rows));
}

/// Number of threads, and so of chunks that share the work evenly and are not too small.
pub(crate) fn threads() -> usize {
    #[cfg(not(target_arch = "wasm32"))]
    return rayon::current_num_threads();
    #[cfg(target_arch = "wasm32")]
    1
}

/// Runs `work` on a thread of the pool, so that parallel loops in it start without a switch to another thread.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn on_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

/// Runs `work`.
#[cfg(target_arch = "wasm32")]
pub(crate) fn on_pool<T>(work: impl FnOnce() -> T) -> T {
    work()
}
