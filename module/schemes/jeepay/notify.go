package jeepay

import (
	"strconv"
	"time"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Notification describes jeepay's notifications: a form or a query, signed with
// MD5 whatever signs the requests (code). reqTime is when the provider's server
// made the notification; it sends the same one again until it is acknowledged.
func (s *Scheme) Notification() scheme.NotificationRule {
	return scheme.NotificationRule{
		Form:   true,
		Roles:  []keys.Role{keys.SharedSecret},
		Ack:    "success",
		Signed: func(member string) bool { return member != memberSign },
		Time: func(n scheme.Notification) (time.Time, bool) {
			ms, err := strconv.ParseInt(n.Param(memberTime), 10, 64)
			return time.UnixMilli(ms), err == nil
		},
	}
}

// OpenNotification verifies a notification.
func (s *Scheme) OpenNotification(n scheme.Notification) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOfForm(n.Form, memberSign)
	if err != nil {
		return nil, err
	}
	c, err := ofPairs("*", scheme.FormPairs(n.Form, memberSign))
	if err != nil {
		return nil, err
	}
	return n.Verify(md5, c, sig)
}
