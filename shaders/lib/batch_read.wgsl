// The batch as every kernel but one sees it.
// Needs: nothing

@group(0) @binding(0) var<uniform> batch: Batch;
