package hkrt

import (
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Notification describes hkrt's notifications: JSON, signed as answers are,
// acknowledged by whatever the application answers with 2xx.
func (s *Scheme) Notification() scheme.NotificationRule {
	return scheme.NotificationRule{
		Roles:  []keys.Role{keys.SharedSecret},
		Signed: func(member string) bool { return member != memberSign },
	}
}

// OpenNotification verifies a notification.
func (s *Scheme) OpenNotification(n scheme.Notification) (*scheme.Opened, error) {
	return s.Open(scheme.Answer{Body: n.Body, Keys: n.Keys, Charset: n.Charset})
}
