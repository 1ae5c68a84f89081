package recipe

import "slices"

// blockLines refuses a second line of a kind that may occur once, because the last one
// would silently win. It also refuses a block after a line that has none, because
// nothing would read it.
func blockLines(lines []Line, once, withBlock []string) error {
	seen := make(map[string]bool)
	for _, l := range lines {
		word := l.Words[0]
		name := word
		if len(l.Words) > 1 && (word == "ack" && l.Words[1] == "sign" || word == "key" && (l.Words[1] == "ascii" || l.Words[1] == "bytes")) {
			name += " " + l.Words[1] // beside the other one
		}
		if seen[name] && slices.Contains(once, word) {
			return l.errorf("%s stands twice, and counts once; remove one of the lines", word)
		}
		seen[name] = true
		if len(l.Block) > 0 && !slices.Contains(withBlock, word) {
			return l.errorf("%s takes no block", word)
		}
	}
	return nil
}

// The lines that may occur once, and the lines that have a block.
var (
	onceInRecipe    = []string{"title", "proof", "methods"}
	onceInRequest   = []string{"send", "wrap", "zone"}
	onceInIncoming  = []string{"receive", "unwrap", "zone", "as", "result", "unsigned", "ack", "time", "identity"}
	onceInStatement = []string{
		"key", "uid", "secret", "derive", "several", "certificate", "fresh",
		"padding", "prefix", "order", "iv", "nonce", "aad", "into", "wrap", "plain",
	}
	blocksInRequest  = []string{"sign", "encrypt", "seal"}
	blocksInIncoming = []string{"verify", "decrypt", "open", "ack"}
)
