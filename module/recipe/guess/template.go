package guess

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	timeName    = regexp.MustCompile(`(?i)time|stamp|nonce|date|^t$|rand|(^|[-_])ts$|id$|version|serial|appkey|mch|merchant`)
	versionName = regexp.MustCompile(`^[vV][0-9]$`)
	isToken     = regexp.MustCompile(`^[A-Za-z0-9_.:+ -]{1,64}$`)
)

// templates are texts of the body's bytes with what stands in the headers.
func (s *search) templates(p place, effort int) []string {
	extras := s.extras(p)
	all := long(extras, effort)
	extras = extras[:min(len(extras), 4)]
	fronts := [][]string{nil}
	if s.messages[0].Method != "" && s.messages[0].Path != "" {
		fronts = append(fronts, []string{"{method}", "{uri}"}, []string{"{uri}"}, []string{"{method}", "{path}"}, []string{"{path}"})
		if effort == thorough {
			fronts = append(fronts, []string{"{method}"}, []string{"{method}", "{path}", "{query}"}, []string{"{url}"}, []string{"{method}", "{host}", "{path}"}, []string{"{method}", "{url}"})
		}
	}
	if s.messages[0].Status > 0 && effort == thorough {
		fronts = append(fronts, []string{"{status}"})
	}
	for _, front := range fronts {
		for _, some := range arrangements(extras, 3) {
			behind := slices.Concat(front, some, []string{"{body}"})
			before := slices.Concat(front, []string{"{body}"}, some)
			for _, order := range [][]string{behind, before} {
				for _, separator := range []string{`\n`, ".", "", "|", "&", ":", ","} {
					joined := strings.Join(order, separator)
					all = append(all, joined)
					if separator == `\n` {
						all = append(all, joined+`\n`)
					}
				}
				if len(some) == 0 {
					break
				}
			}
		}
	}
	return unique(all)
}

// between returns the templates with the body between two headers, on lines of their own
// or without anything between them.
func (s *search) between(p place) (all []string) {
	extras := s.extras(p)
	fronts := [][]string{nil}
	if s.messages[0].Method != "" && s.messages[0].Path != "" {
		fronts = append(fronts, []string{"{method}", "{uri}"}, []string{"{method}", "{path}"}, []string{"{path}"})
	}
	for _, front := range fronts {
		for _, some := range arrangements(extras[:min(len(extras), 4)], 3) {
			for i := 1; i < len(some); i++ {
				order := slices.Concat(front, some[:i], []string{"{body}"}, some[i:])
				lines := strings.Join(order, `\n`)
				all = append(all, lines, lines+`\n`, strings.Join(order, ""), strings.Join(order, "."), strings.Join(order, "|"), strings.Join(order, "&"))
			}
		}
	}
	return all
}

// typed returns the templates with the headers that everybody sends: the media type and
// the date, behind the method and before the path.
func (s *search) typed() (all []string) {
	h := s.messages[0].Header
	if s.messages[0].Path == "" || h.Get("Content-Type") == "" || h.Get("Date") == "" {
		return nil
	}
	for _, middle := range []string{`{body}\n{header.Content-Type}\n{header.Date}\n`, `{header.Content-Type}\n{body}\n{header.Date}\n`, `{body}\n{header.Content-Type}\n{header.Date}\n\n`} {
		all = append(all, `{method}\n`+middle+"{uri}", `{method}\n`+middle+"{path}")
	}
	return all
}

// long returns the texts with more than three headers, each on a line of its own or
// without anything between them.
func long(extras []string, effort int) []string {
	if effort == plain || len(extras) < 4 {
		return nil
	}
	var all []string
	for _, some := range arrangements(extras[:min(len(extras), 6)], 5) {
		if len(some) > 3 {
			lines := strings.Join(append(some, "{body}"), `\n`)
			all = append(all, lines+`\n`, lines, strings.Join(append(some, "{body}"), ""))
		}
	}
	return all
}

// extras are the parts of the header that the signature stands in, the parameters and
// headers that look like a time or a nonce, and other headers, as placeholders.
func (s *search) extras(p place) []string {
	var extras []string
	header := strings.TrimPrefix(p.name, "header.")
	if name, _, ok := strings.Cut(header, "."); ok {
		for _, part := range p.parts {
			extras = append(extras, "{header."+name+"."+part+"}")
		}
		if p.alone && versionName.MatchString(p.last()) { // v1=… over v1.1700000000.{…}
			extras = append(extras, p.last())
		}
	}
	for _, param := range paramsBeside(s.messages[0]) {
		if "query."+param.Name != p.name && isToken.MatchString(param.Value) && isToken.MatchString(param.Name) && timeName.MatchString(param.Name) {
			extras = append(extras, "{query."+param.Name+"}")
		}
	}
	var others []string // which come last
	for _, name := range slices.Sorted(maps.Keys(s.messages[0].Header)) {
		value := s.messages[0].Header.Get(name)
		switch {
		case standard(name) || "header."+name == p.name || strings.HasPrefix(p.name, "header."+name+".") || !isToken.MatchString(value):
		case timeName.MatchString(name):
			extras = append(extras, "{header."+name+"}")
		default:
			others = append(others, "{header."+name+"}")
		}
	}
	return append(extras, others...)
}

// memberTemplates returns texts of up to a small number of members, in every order.
func (s *search) memberTemplates(p place, effort int) [][2]string {
	if p.member == "" && !strings.HasPrefix(p.name, "body.") || s.messages[0].Payload == nil {
		return nil
	}
	most, names := 2, []string(nil)
	if effort == thorough {
		most = 4
	}
	for _, m := range s.messages[0].Payload.Members() {
		if name := string(m.Name()); name != p.member && m.IsScalar() && !m.IsEmpty() && !strings.ContainsAny(name, "{}\\.") {
			names = append(names, name)
		}
	}
	if len(names) > 7 {
		return nil // a text with listed members has a small number of them
	}
	var all [][2]string // the text, and what stands between the members
	for _, some := range arrangements(names, most) {
		if len(some) == 0 {
			continue
		}
		bare, named := make([]string, len(some)), make([]string, len(some))
		for i, name := range some {
			bare[i] = "{body." + name + "}"
			named[i] = name + "=" + bare[i]
		}
		for _, separator := range []string{"", "&", "|", ",", ".", `\n`} {
			if separator == "" || len(some) > 1 {
				all = append(all, [2]string{strings.Join(bare, separator), separator})
			}
		}
		if len(some) > 1 {
			all = append(all, [2]string{strings.Join(named, "&"), "&"})
		}
	}
	return all
}

// arrangements returns all ordered selections of at most n names, the empty one first.
func arrangements(names []string, n int) [][]string {
	all := [][]string{nil}
	from := 0
	for range n {
		to := len(all)
		for _, base := range all[from:to] {
			for _, name := range names {
				if !slices.Contains(base, name) {
					all = append(all, append(slices.Clone(base), name))
				}
			}
		}
		from = to
	}
	return all
}

func unique(texts []string) []string {
	seen := make(map[string]bool)
	return slices.DeleteFunc(texts, func(t string) bool {
		known := seen[t]
		seen[t] = true
		return known
	})
}
