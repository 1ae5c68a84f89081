package hkrt

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
)

// Notification describes hkrt's notifications: JSON, signed as answers are,
// acknowledged by whatever the application answers with 2xx.
func (s *Scheme) Notification() scheme.NotificationRule {
	return scheme.NotificationRule{
		Roles: []keys.Role{keys.SharedSecret},
		// A sign is left out at every level.
		Signed: func(member string) bool { return !slices.Contains(strings.Split(member, "."), memberSign) },
	}
}

// OpenNotification verifies a notification.
func (s *Scheme) OpenNotification(n scheme.Notification) (*scheme.Opened, error) {
	return s.Open(scheme.Answer{Body: n.Body, Keys: n.Keys, Charset: n.Charset})
}
