//! Compiles a function a second time, for wider registers.

/// Defines a function over slices. On machines with AVX2 it runs a version compiled for AVX2, elsewhere the plain
/// version.
///
/// With AVX2 the compiler vectorises plain loops eight floats wide. The results have the same bits, because Rust does
/// not fuse products and sums.
macro_rules! wide {
    ($(#[$attribute:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$attribute])*
        $vis fn $name($($arg: $ty),*) {
            #[inline(always)]
            fn plain($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    plain($($arg),*);
                }
                if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                    // SAFETY: the machine has the instructions.
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*);
        }
    };
}
pub(crate) use wide;
