package guard

// Limits of one change. They are the same on every device, since a change that
// one device refuses and another takes would part them for good.
const (
	MaxChunk    = 1 << 20  // bytes of a chunk
	MaxInflated = 16 << 20 // bytes of a chunk's contents, uncompressed
	MaxOps      = 1 << 20
	MaxDeps     = 256
	MaxActors   = 4096 // actors beside the author that a change mentions
	MaxActorLen = 64   // bytes
	MaxColumns  = 64
	MaxMessage  = 1 << 10 // bytes
	MaxStartOp  = 1 << 31
	MaxChunks   = 1 << 20 // chunks of a file
)
