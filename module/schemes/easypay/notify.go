package easypay

import (
	"strings"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/oldscheme"
	"github.com/countersign/caddy-countersign/module/signature"
)

// Notification describes easypay's notifications: JSON, acknowledged by
// whatever the application answers with 2xx. They have the time of the payment
// (timeEnd), and none of their own.
func (s *Scheme) Notification() scheme.NotificationRule {
	return scheme.NotificationRule{
		Roles: []keys.Role{keys.Verify},
		Signed: func(member string) bool {
			return strings.HasPrefix(member, memberPart+".") || strings.HasPrefix(member, memberOldPart+".")
		},
	}
}

// OpenNotification verifies a notification, and then decrypts.
func (s *Scheme) OpenNotification(n scheme.Notification) (*scheme.Opened, error) {
	sig, err := scheme.SignatureOf(n.Body, memberSign)
	if err != nil {
		return nil, err
	}
	name, part, err := notifiedPartOf(n.Body)
	if err != nil {
		return nil, err
	}
	opened, err := n.Verify(signature.SHA256WithRSA, s.covered(name, part.Members()), sig)
	if err != nil {
		return nil, err
	}
	if err := s.decrypt(opened, n.Body, part, new(memory), n.Keys); err != nil {
		return nil, err
	}
	return opened, nil
}
