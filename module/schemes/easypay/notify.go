package easypay

import (
	"strings"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Notification describes easypay's notifications: JSON, acknowledged by
// whatever the application answers with 2xx.
func (s *Scheme) Notification() scheme.NotificationRule {
	return scheme.NotificationRule{
		Roles: []keys.Role{keys.Verify},
		Signed: func(member string) bool {
			return strings.HasPrefix(member, memberPart+".") || strings.HasPrefix(member, memberOldPart+".")
		},
	}
}

// OpenNotification verifies bizData or, in the older family, data. A
// notification with both is an attack: an application may read the one that is
// not signed.
func (s *Scheme) OpenNotification(n scheme.Notification) (*scheme.Opened, error) {
	sig, err := scheme.SignatureText(n.Body, memberSign)
	if err != nil {
		return nil, err
	}
	part, name, err := signedPart(n.Body, scheme.KindNotification)
	if err != nil {
		return nil, err
	}
	opened, err := s.verify(n.Body, part, name, sig, n.Keys, n.Charset)
	if err != nil {
		return nil, err
	}
	if err := s.decrypt(opened, n.Body, part, new(memory), n.Keys); err != nil {
		return nil, err
	}
	return opened, nil
}
