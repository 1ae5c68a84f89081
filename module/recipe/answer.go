package recipe

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/scheme"
)

// answerLine compiles match, result and unsigned.
func (c *compiler) answerLine(_ *incomingBlock, l Line) error {
	d := &c.p.description
	words, err := c.words(l)
	if err != nil {
		return err
	}
	switch words[0] {
	case "match":
		paths, err := c.paths(l, l.Words[1:])
		if err != nil || len(paths) == 0 {
			return l.errorf("match takes members, as in: match body.orderId")
		}
		for _, path := range paths {
			if len(path) > 1 {
				c.p.held = append(c.p.held, path[:len(path)-1])
			}
		}
		if c.settings["match"][0] == "on" {
			d.Match = append(d.Match, paths...)
		}
	case "result":
		if len(words) != 2 {
			return l.errorf("result takes one member, as in: result body.code")
		}
		if d.Result, err = bodyPath(words[1]); err != nil {
			return l.errorf("%w", err)
		}
	case "unsigned":
		text := len(words) == 5 && words[4] == "text"
		if len(words) != 4 && !text || words[1] != "error" {
			return l.errorf("unsigned is written: unsigned error <member> <token of success> [text], as in: unsigned error body.code 0")
		}
		path, err := bodyPath(words[2])
		if err != nil {
			return l.errorf("%w", err)
		}
		d.Unsigned = &scheme.UnsignedRule{Member: path, Token: words[3], Text: text}
	}
	return nil
}

func (c *compiler) hasMatch() bool {
	lines, _ := c.kept(c.p.answer.line.Block) // compiled before, without an error
	return slices.ContainsFunc(lines, func(l Line) bool { return l.Words[0] == "match" })
}
