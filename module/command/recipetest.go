package command

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/recipe/attack"
	"github.com/countersign/caddy-countersign/module/scheme"
)

func testCommand() *cobra.Command {
	in := new(input)
	as := ""
	cmd := &cobra.Command{
		Use:   "test [--recipe FILE] [<name>] --keys <folder> --ref <reference> [--as request|response|notification] <message>...",
		Short: "Runs messages of a recipe, and then attacks them",
		Long: `Opens each message, which must verify. Then it tampers with every part that the
recipe says is signed, drops, moves and spoils the signature, and adds twins and
duplicates: nothing of that may pass. What passes because nobody signs it is shown as
such. It prints a table; the exit status is 1 if something passes that must not, or a
message does not verify.

A message is a file as curl -i shows it, or a body alone with --as. A request is
opened as the provider would, with the provider's keys: the public key of the
merchant in verify.pem.`,
		RunE: func(cmd *cobra.Command, args []string) error { return in.test(cmd, as, args) },
	}
	in.schemeFlags(cmd)
	in.keyFlags(cmd)
	cmd.Flags().StringVar(&as, "as", "", "what a message is that does not show it: request, response or notification")
	return cmd
}

// errAttack makes the exit status 1; the table has said why.
var errAttack = errors.New("something passed that must not, or a message does not verify")

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
		return fmt.Errorf("unknown recipe %q; known are %s", r.Scheme, strings.Join(protocol.Names(r.Own), ", "))
	}
	s, err := r.Configure()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s compiles; give messages and --keys, --ref to run and attack them\n", r.Scheme)
		return err
	}
	program, ok := s.(*recipe.Program)
	if !ok {
		return fmt.Errorf("%s is written in Go; recipe test attacks recipes", r.Scheme)
	}
	t := &tester{program: program, at: in.at()}
	for _, file := range args {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading the message: %w", err)
		}
		kind, err := kindOf(as, text)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		m, err := readMessage(s, kind, text)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		set, err := in.keySet(cmd.Context(), m)
		if err != nil {
			return err
		}
		t.run(file, m, set)
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
	return "", errors.New("the file is a body alone; say what it is with --as response or --as notification")
}

// readMessage reads a message as it stood on the wire. A request may be encrypted as
// a whole, and has no members then.
func readMessage(s scheme.Scheme, kind message.Kind, text []byte) (*message.Message, error) {
	if kind != message.Request {
		return diagnosis.Read(s, kind, text)
	}
	m, _, err := diagnosis.Split(kind, text)
	if d := s.Describe().Request; err == nil && d != nil {
		_ = d.Format.Read(m) // for a member in the key reference
	}
	return m, err
}

// asItIs is the genuine message in the table.
const asItIs = "as it is"

// tester opens messages and notes what passed.
type tester struct {
	program *recipe.Program
	at      time.Time
	rows    []string
	bad     int
}

// open opens a message as it stands on the wire: a request as the provider would,
// with the provider's keys.
func (t *tester) open(m *message.Message, set *keys.Set) error {
	if m.Kind == message.Request {
		_, err := t.program.VerifyRequest(m, set, t.at)
		return err
	}
	d := t.program.Describe().Answer
	if m.Kind == message.Notification {
		d = t.program.Describe().Notification
	}
	if err := d.Format.Read(m); err != nil {
		return err
	}
	_, err := diagnosis.Open(t.program, m, set, t.at, nil)
	return err
}

// run opens a message, and then every message that somebody could make of it. What
// is not signed may pass, and may be refused for another reason.
func (t *tester) run(file string, m *message.Message, set *keys.Set) {
	m.SetPayload(nil) // it is read again, from the wire
	m.Form, m.Inner = nil, nil
	err := t.open(m.Fresh(), set)
	t.row(file, asItIs, err, true)
	if err != nil {
		return
	}
	for _, c := range attack.Cases(t.program, m, nil) {
		err := t.open(c.Message, set)
		t.row(file, c.Name, err, !c.Refused)
	}
}

// row notes what became of a message that may pass, or must not.
func (t *tester) row(file, what string, err error, may bool) {
	mark, verdict, detail := "ok", "passed", ""
	if err != nil {
		verdict, detail = "refused", err.Error()
	}
	switch {
	case what == asItIs && err != nil, what != asItIs && err == nil && !may:
		mark = "WRONG"
		t.bad++
	case what != asItIs && err == nil:
		verdict = "passed: it is not signed"
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
