//! Compiles kernels with instructions that only some machines have.

/// Adds the method `run` to a type that proves an instruction set. It compiles kernels with these instructions.
macro_rules! compiled_for {
    ($simd:ty, $features:literal) => {
        impl $simd {
            /// Runs a kernel.
            #[inline]
            pub(super) fn run<K: super::Kernel>(self, kernel: K) -> K::Output {
                #[target_feature(enable = $features)]
                fn compiled<K: super::Kernel>(simd: $simd, kernel: K) -> K::Output {
                    kernel.run(simd)
                }
                // SAFETY: `self` exists only where the machine has the instructions.
                unsafe { compiled(self, kernel) }
            }
        }
    };
}
pub(super) use compiled_for;
