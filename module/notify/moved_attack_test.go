package notify_test

import (
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
