package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/recipe/attack"
)

// tester opens messages and notes what passed.
type tester struct {
	program *recipe.Program
	at      time.Time
	brief   bool // a row for each message, and each that is wrong
	rows    []string

	none []string // recipes without messages

	messages, attacks, refused, left, bad int
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
	t.messages++
	if err := t.open(m.Fresh(), set); !t.genuine(file, i18n.T("as it is"), err) {
		return
	}
	attacks, refused := t.attacks, t.refused
	for _, c := range attack.Cases(t.program, m, nil) {
		t.attack(file, c.Name, t.open(c.Message, set), !c.Refused)
	}
	if t.brief {
		t.row(i18n.T("ok"), file, i18n.T("%d attacks", t.attacks-attacks), i18n.T("%d refused", t.refused-refused), i18n.T("%d change what nobody signs", t.attacks-attacks-t.refused+refused).String())
	}
}

// genuine notes what became of a message that must pass.
func (t *tester) genuine(file string, what i18n.Text, err error) bool {
	if err != nil {
		t.bad++
		t.row(i18n.T("WRONG"), file, what, i18n.T("refused"), err.Error())
		return false
	}
	t.row(i18n.T("ok"), file, what, i18n.T("passed"), "")
	return true
}

// attack notes what became of a changed message, which may pass or must not.
func (t *tester) attack(file string, what i18n.Text, err error, may bool) {
	t.attacks++
	switch {
	case err != nil:
		t.refused++
		if !t.brief {
			t.row(i18n.T("ok"), file, what, i18n.T("refused"), err.Error())
		}
	case !may:
		t.bad++
		t.row(i18n.T("WRONG"), file, what, i18n.T("passed"), "")
	case !t.brief:
		t.row(i18n.T("ok"), file, what, i18n.T("passed: it is not signed"), "")
	}
}

// row adds a row: how it is, of which message, what was done, what came of it, and why.
func (t *tester) row(mark i18n.Text, file string, what, verdict i18n.Text, detail string) {
	t.rows = append(t.rows, strings.Join([]string{mark.String(), file, what.String(), verdict.String(), detail}, "\t"))
}

// end prints the table, and how many messages it is of.
func (t *tester) end(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, row := range t.rows {
		fmt.Fprintln(w, strings.TrimRight(row, "\t")) //nolint:errcheck // Flush tells
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(t.none) > 0 {
		i18n.Fprintf(out, "no messages stand in the folders of %s; they compile: give messages and --keys, --ref to run and attack them\n", strings.Join(t.none, ", "))
	}
	i18n.Fprintf(out, "messages: %d run, %d left out; attacks: %d, of which %d refused; wrong: %d\n", t.messages, t.left, t.attacks, t.refused, t.bad)
	if t.bad > 0 {
		return errAttack
	}
	return nil
}
