package notify

import (
	"maps"
	"strconv"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// errAckSize says that an acknowledgement cannot be signed.
var errAckSize = i18n.Errorf("the application's acknowledgement is larger than 64 KiB or encoded, and cannot be signed")

// signAck adds the signature that the provider expects to an acknowledgement,
// where the scheme has a rule for it. Nothing of the answer has left yet. An
// answer that does not acknowledge is not signed.
func (n *notification) signAck(answer *answerWriter) error {
	sign := n.h.rules.Notify.SignAck
	switch {
	case sign == nil:
		return nil
	case !answer.whole():
		return errAckSize
	case !n.h.acknowledged(answer):
		return nil
	}
	ack := message.New(message.Request)
	ack.Wire = answer.held
	if err := sign(&scheme.Draft{Message: ack, Keys: n.keys, Now: time.Now()}); err != nil {
		return err
	}
	answer.held, answer.signed = ack.Wire, true
	maps.Copy(answer.Header(), ack.Header)
	answer.Header().Set("Content-Length", strconv.Itoa(len(answer.held)))
	return nil
}
