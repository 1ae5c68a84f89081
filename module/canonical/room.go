package canonical

import "sync"

// texts are the memory of canonical strings that were forgotten, and boxes are
// what it is kept in.
var (
	texts sync.Pool
	boxes = sync.Pool{New: func() any { return new([]byte) }}
)

// The memory of a text that is kept for the next one has at least and at most so
// many bytes. Most texts fit into the least.
const (
	minKept = 4 << 10
	maxKept = 64 << 10
)

// Room is an empty text with space for size bytes, for a canonical string.
func Room(size int) []byte {
	if box, ok := texts.Get().(*[]byte); ok {
		text := *box
		*box = nil
		boxes.Put(box)
		if cap(text) >= size {
			return text[:0]
		}
	}
	return make([]byte, 0, max(size, minKept))
}

// Forget takes back the memory of a canonical string, for the next one. Nothing
// else may be in it, and nobody may look at the string afterwards.
func Forget(text []byte) {
	if cap(text) == 0 || cap(text) > maxKept {
		return
	}
	box := boxes.Get().(*[]byte)
	*box = text
	texts.Put(box)
}
