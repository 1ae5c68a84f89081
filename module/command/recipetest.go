package command

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/scheme"
)

func testCommand() *cobra.Command {
	in := new(input)
	as := ""
	cmd := &cobra.Command{
		Use:   "test [--recipe FILE] [<name>] --keys <folder> --ref <reference> [--as response|notification] <message>...",
		Short: "Runs messages of a recipe, and then attacks them",
		Long: `Opens each message, which must verify. Then it tampers with every member that the
recipe says is signed, drops and spoils the signature, and adds twins and
duplicates: nothing of that may pass. It prints a table; the exit status is 1 if
something passes that must not, or a message does not verify.

A message is a file as curl -i shows it, or a body alone with --as.`,
		RunE: func(cmd *cobra.Command, args []string) error { return in.test(cmd, as, args) },
	}
	in.schemeFlags(cmd)
	in.keyFlags(cmd)
	cmd.Flags().StringVar(&as, "as", "", "what a message is that does not show it: response or notification")
	return cmd
}

// errAttack makes the exit status 1; the table has said why.
var errAttack = i18n.Errorf("something passed that must not, or a message does not verify")

func (in *input) test(cmd *cobra.Command, as string, args []string) error {
	if len(args) > 0 && in.scheme == "" {
		if _, err := os.Stat(args[0]); err != nil {
			in.scheme, args = args[0], args[1:]
		}
	}
	r, err := in.recipe()
	if err != nil {
		return err
	}
	if _, known := r.Own[r.Scheme]; !known && !protocol.Exists(r.Scheme) {
		return i18n.Errorf("unknown recipe %q; known are %s", r.Scheme, strings.Join(protocol.Names(r.Own), ", "))
	}
	s, err := r.Configure()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		i18n.Fprintf(cmd.OutOrStdout(), "%s compiles; give messages and --keys, --ref to run and attack them\n", r.Scheme)
		return nil
	}
	t := &tester{scheme: s, at: in.at()}
	for _, file := range args {
		text, err := os.ReadFile(file)
		if err != nil {
			return i18n.Errorf("reading the message: %w", err)
		}
		kind, err := kindOf(as, text)
		if err != nil {
			return i18n.Errorf("%s: %w", file, err)
		}
		m, err := diagnosis.Read(s, kind, text)
		if err != nil {
			return i18n.Errorf("%s: %w", file, err)
		}
		set, err := in.keySet(cmd.Context(), m)
		if err != nil {
			return err
		}
		t.run(file, kind, text, set)
	}
	if err := t.print(cmd); err != nil {
		return err
	}
	if t.bad > 0 {
		return errAttack
	}
	return nil
}

// kindOf is what a message is: one with a status line is an answer, one with a
// request line a notification.
func kindOf(as string, text []byte) (message.Kind, error) {
	if as != "" {
		return diagnosis.Kind(as)
	}
	switch _, whole, _ := diagnosis.Split(message.Answer, text); {
	case whole && bytes.HasPrefix(text, []byte("HTTP/")):
		return message.Answer, nil
	case whole:
		return message.Notification, nil
	}
	return "", i18n.Errorf("the file is a body alone; say what it is with --as response or --as notification")
}

// tester opens messages and notes what passed.
type tester struct {
	scheme scheme.Scheme
	at     time.Time
	rows   []string
	bad    int
}

func (t *tester) run(file string, kind message.Kind, text []byte, set *keys.Set) {
	read := func() *message.Message {
		m, err := diagnosis.Read(t.scheme, kind, text)
		if err != nil {
			return message.New(kind)
		}
		return m
	}
	_, err := diagnosis.Open(t.scheme, read(), set, t.at, nil)
	t.row(file, i18n.Sprintf("as it is"), err == nil, err, true)
	if err != nil {
		return
	}
	attack := func(what string, edit func(m *message.Message)) {
		m := read()
		edit(m)
		_, err := diagnosis.Open(t.scheme, m, set, t.at, nil)
		t.row(file, what, err == nil, err, false)
	}
	direction := t.scheme.Describe().Answer
	if kind == message.Notification {
		direction = t.scheme.Describe().Notification
	}
	for _, path := range leaves(read(), direction) {
		attack(i18n.Sprintf("another %s", path), func(m *message.Message) { set1(m, path) })
		attack(i18n.Sprintf("without %s", path), func(m *message.Message) { replace(m, func(tree *body.Tree) { tree.Remove(path) }) })
	}
	for _, path := range direction.Reads {
		if len(path) == 0 || path.HasAny() {
			continue
		}
		twin := append(body.Path{}, path...)
		twin[len(twin)-1] = strings.ToUpper(twin[len(twin)-1])
		if twin.String() == path.String() {
			continue
		}
		attack(i18n.Sprintf("a twin %s", twin), func(m *message.Message) {
			replace(m, func(tree *body.Tree) { _ = tree.Set(twin, []byte(`"x"`)) })
		})
	}
	for name := range read().Header {
		if strings.Contains(strings.ToLower(name), "sign") || strings.Contains(strings.ToLower(name), "authorization") {
			attack(i18n.Sprintf("without the header %s", name), func(m *message.Message) { m.Header.Del(name) })
			attack(i18n.Sprintf("the header %s twice", name), func(m *message.Message) { m.Header.Add(name, "x") })
		}
	}
	attack(i18n.Sprintf("another body"), func(m *message.Message) {
		m.Wire = append(bytes.Clone(m.Wire), ' ', 'x')
		m.SetPayload(nil)
		m.Inner = append(bytes.Clone(m.Inner), 'x')
	})
}

// leaves are the members that are signed, of the first two levels, and are not
// empty: what is empty is in no sorted text.
func leaves(m *message.Message, d *scheme.Direction) []body.Path {
	var paths []body.Path
	var walk func(tree *body.Tree, at body.Path)
	walk = func(tree *body.Tree, at body.Path) {
		if tree == nil || tree.IsList() || len(at) > 1 {
			return
		}
		for _, member := range tree.Members() {
			name := string(member.Name())
			path := append(append(body.Path{}, at...), name)
			switch {
			case member.IsEmpty():
			case d.Covers(path):
				paths = append(paths, path)
			case !member.IsScalar():
				walk(tree.At(body.Path{name}), path)
			}
		}
	}
	walk(m.Payload, nil)
	return paths
}

// set1 gives a member another value.
func set1(m *message.Message, path body.Path) {
	replace(m, func(tree *body.Tree) {
		member, ok := tree.Get(path)
		if !ok {
			return
		}
		raw := body.AppendQuote(nil, string(member.Text())+"x")
		if member.Kind() == body.Number {
			raw = append(bytes.Clone(member.Raw()), '1')
		}
		_ = tree.Set(path, raw) // it was found there
	})
}

// replace makes the payload with an edit the message's own, and its body too.
func replace(m *message.Message, edit func(tree *body.Tree)) {
	if m.Payload == nil {
		return
	}
	edit(m.Payload)
	text := m.Payload.Text()
	o, err := body.Parse(text)
	if err != nil {
		m.SetPayload(nil)
		return
	}
	m.SetPayload(o)
	m.Wire = text
}

func (t *tester) row(file, what string, passed bool, err error, want bool) {
	verdict := i18n.Sprintf("refused")
	if passed {
		verdict = i18n.Sprintf("passed")
	}
	mark := i18n.Sprintf("ok")
	if passed != want {
		mark = i18n.Sprintf("WRONG")
		t.bad++
	}
	detail := ""
	if err != nil {
		detail = err.Error()
	}
	t.rows = append(t.rows, strings.Join([]string{mark, file, what, verdict, detail}, "\t"))
}

func (t *tester) print(cmd *cobra.Command) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	for _, row := range t.rows {
		fmt.Fprintln(w, row) //nolint:errcheck // Flush tells
	}
	return w.Flush()
}
