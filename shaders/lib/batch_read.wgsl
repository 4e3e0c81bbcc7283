// The batch as every kernel but one sees it.

@group(0) @binding(0) var<uniform> batch: Batch;
