package canonical

// Room is an empty text with space for size bytes.
func Room(size int) []byte { return make([]byte, 0, size) }

// Forget does nothing. It goes with its last caller.
func Forget([]byte) {}
