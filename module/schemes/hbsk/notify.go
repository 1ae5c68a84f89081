package hbsk

import (
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Notification describes hbsk's notifications: JSON, signed as answers are
// (guess), acknowledged by whatever the application answers with 2xx. time is
// when the message was made, and serves where the template has it signed.
func (s *Scheme) Notification() scheme.NotificationRule {
	rule := scheme.NotificationRule{
		Roles: []keys.Role{keys.SharedSecret},
		Signed: func(member string) bool {
			return s.responseMessage.has(member) || strings.HasPrefix(member, memberData+".")
		},
	}
	if s.responseMessage.has(memberTime) {
		rule.Time = func(n scheme.Notification) (time.Time, bool) {
			text, _ := n.Body.Text(memberTime)
			seconds, err := strconv.ParseInt(text, 10, 64)
			return time.Unix(seconds, 0), err == nil
		}
	}
	return rule
}

// OpenNotification verifies a notification.
func (s *Scheme) OpenNotification(n scheme.Notification) (*scheme.Opened, error) {
	return s.verify(scheme.Answer{Body: n.Body, Keys: n.Keys, Charset: n.Charset}, s.DeveloperKey)
}
