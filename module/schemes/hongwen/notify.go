package hongwen

import (
	"time"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Notification describes hongwen's notifications: a form, signed as answers are
// (client). That they have timestamp, which the page calls the time of sending,
// is a guess.
func (s *Scheme) Notification() scheme.NotificationRule {
	return scheme.NotificationRule{
		Form:   true,
		Roles:  []keys.Role{keys.Verify},
		Ack:    "success",
		Signed: func(member string) bool { return member != memberSign },
		Time: func(n scheme.Notification) (time.Time, bool) {
			stamp, err := time.ParseInLocation(timeLayout, n.Param(memberTimestamp), chinaStandardTime)
			return stamp, err == nil
		},
	}
}

// OpenNotification verifies a notification.
func (s *Scheme) OpenNotification(n scheme.Notification) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOfForm(n.Form, memberSign)
	if err != nil {
		return nil, err
	}
	return n.Verify(algorithm, ofPairs(scheme.FormPairs(n.Form, memberSign)), sig)
}
