package notify_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestAPayersRemarkBecomesAnAmount is the attack that the rule of the two
// readings is for, through a real socket: a payer chooses a remark, and who
// sees the notification that the provider signs cuts its string anew, so that
// the amount is the payer's. No value of the moved message holds a member then,
// but a name does.
func TestAPayersRemarkBecomesAnAmount(t *testing.T) {
	for _, s := range sides {
		if s.name == "hbsk" {
			continue // its template has no members that concatenate
		}
		t.Run(s.name, func(t *testing.T) {
			app := newApplication(t, says(s.acknowledgement()))
			c := serve(t, s.directive("")+app.proxy())
			genuine := s.sign(t, []member{{"a", "b"}, {"amount", "1"}, {"remark", "y&amount=2"}})
			for _, moved := range [][]member{
				{{"a=b&amount", "1&remark=y"}, {"amount", "2"}},
				{{"a=b&amount=1&remark", "y"}, {"amount", "2"}},
			} {
				note := s.sign(t, moved)
				assert.Equal(t, signature(t, s, genuine.body), signature(t, s, note.body), "it is the signature of the genuine one")
				refused(t, c, app, note, "notification_signature_invalid")
			}
			refused(t, c, app, genuine, "notification_signature_invalid")
		})
	}
}

// TestTheSignedPartInOtherLetters adds bizData to a genuine notification once
// more, for a reader that ignores case.
func TestTheSignedPartInOtherLetters(t *testing.T) {
	app := newApplication(t, says(""))
	s := sides[0]
	c := serve(t, s.directive("")+app.proxy())
	for _, name := range []string{"BizData", "BIZDATA", "Data"} {
		note := s.genuine(t)
		note.body = `{` + quoted(name) + `:{"transAmt":"999"},` + note.body[1:]
		refused(t, c, app, note, "notification_invalid")
	}
}

// TestAnEmptyTwin adds an empty member beside a signed one, in other letters: no
// signature covers it, and a reader that ignores case would take it.
func TestAnEmptyTwin(t *testing.T) {
	eachOnce(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		if s.name == "hbsk" {
			return // the signed part is one string
		}
		for _, twin := range []string{strings.ToUpper(s.order), strings.ToUpper(s.order[:1]) + s.order[1:]} {
			refused(t, c, app, s.sign(t, with(s.members, twin, "")), "notification_signature_invalid")
		}
		assert.Equal(t, 200, c.post(t, s.genuine(t)).status)
	})
}

// TestMovedIntoTheQuery moves a form from the body into the query: it verifies, and does
// not stand for the genuine one, which an application that reads the body alone has not
// seen.
func TestMovedIntoTheQuery(t *testing.T) {
	eachOnce(t, "", func(t *testing.T, s side, c *running, app *application) {
		t.Helper()
		if !s.form {
			return
		}
		note := s.genuine(t)
		moved := note
		moved.target, moved.contentType, moved.body = note.target+"?"+note.body, "", ""
		assert.Equal(t, 200, c.post(t, moved).status)
		app.calls()
		assert.Equal(t, 200, c.post(t, note).status)
		assert.Len(t, app.calls(), 1)
	})
}
