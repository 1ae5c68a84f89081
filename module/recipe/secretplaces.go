package recipe

import (
	"slices"
	"strings"
)

// checkSecretPlaces refuses {secret} in words that are not templates: it would not be
// replaced there.
func checkSecretPlaces(lines []Line) error {
	for _, l := range lines {
		words := l.Words[1:]
		if taken := secretWords[l.Words[0]]; taken != nil {
			words = taken(l.Words)
		} else if !slices.Contains(plainWords, l.Words[0]) {
			words = nil // a template, or a line that looks itself
		}
		for _, word := range words {
			if strings.Contains(word, "{secret}") || strings.Contains(word, "{secret.") {
				return l.errorf("{secret} stands only in texts that are digested, and in token, which sends it: %s takes its words as they are written", l.Words[0])
			}
		}
		if err := checkSecretPlaces(l.Block); err != nil {
			return err
		}
	}
	return nil
}

// plainWords begin lines none of whose words is a template.
var plainWords = []string{
	"title", "proof", "source", "option", "methods", "warn", "match", "result", "unsigned", "single", "identity",
	"send", "receive", "wrap", "unwrap", "zone", "as", "remove", "string", "check", "encode", "raw", "values",
	"strip", "replace", "url", "charset", "padding", "prefix", "order", "into", "several", "certificate", "subject",
}

// secretWords are, by the word that begins a line, its words that are not templates.
var secretWords = map[string]func(words []string) []string{
	"ack": func(words []string) []string {
		if len(words) > 1 && words[1] == "sign" {
			return words[:min(len(words), 5)] // the text behind them is digested
		}
		return words
	},
	"sorted": func(words []string) []string {
		var plain []string
		for i := 0; i < len(words); i++ {
			switch words[i] {
			case "after":
				i++
			case "with":
				i += 2
			default:
				plain = append(plain, words[i])
			}
		}
		return plain
	},
}
