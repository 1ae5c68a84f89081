package hongwen

import (
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Notification describes hongwen's notifications: a form, signed as answers are
// (client). They have the time of the payment (pay_time), and none of their own.
func (s *Scheme) Notification() scheme.NotificationRule {
	return scheme.NotificationRule{
		Form:   true,
		Roles:  []keys.Role{keys.Verify},
		Ack:    "success",
		Signed: func(member string) bool { return member != memberSign },
	}
}

// OpenNotification verifies a notification.
func (s *Scheme) OpenNotification(n scheme.Notification) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOfForm(n.Form, memberSign)
	if err != nil {
		return nil, err
	}
	return ofPairs(scheme.FormPairs(n.Form, memberSign)).Verify(algorithm, n.Keys, n.Charset, sig)
}
