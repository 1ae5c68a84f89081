package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// startLimit bounds a start, less what a build takes, and the wait for an
// engine after it.
const startLimit = 30 * time.Second

// Seal seals the server: it answers, with 503, until Unseal.
func (s *Server) Seal() error {
	if s.External() {
		return errExternal
	}
	if err := s.client.Sys().Seal(); err != nil {
		return fmt.Errorf("sealing Vault: %w", err)
	}
	return nil
}

// Unseal unseals the server and waits until its secret engines answer.
func (s *Server) Unseal() error {
	if s.External() {
		return errExternal
	}
	status, err := s.client.Sys().Unseal(s.UnsealKey)
	if err != nil {
		return fmt.Errorf("unsealing Vault: %w", err)
	}
	if status.Sealed {
		return errors.New("unsealing Vault: still sealed")
	}
	s.mu.Lock()
	mounts := s.kv
	s.mu.Unlock()
	for _, mount := range mounts {
		if err := s.awaitKV(mount); err != nil {
			return err
		}
	}
	return nil
}

// Kill ends the server at once, as kill -9 does; its port refuses connections
// then. Killing a server that does not run is no error.
func (s *Server) Kill() error {
	if s.External() {
		return errExternal
	}
	if s.process == nil {
		return nil
	}
	err := s.process.kill()
	s.process = nil
	return err
}

// StartSealed starts a killed server again, on the same storage and address,
// and leaves it sealed.
func (s *Server) StartSealed() error {
	if s.External() {
		return errExternal
	}
	if s.process != nil {
		return errors.New("starting the Vault server: it runs")
	}
	return s.startSealed(context.Background()) // built already
}

func (s *Server) startSealed(ctx context.Context) error {
	p, err := launch(ctx, s.layout)
	if err != nil {
		return err
	}
	s.process = p
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return p.await(ctx, s.layout)
}

// Restart kills the server if it runs, starts it again and unseals it.
// Secrets, keys, tokens and leases are still there, the address is the same.
func (s *Server) Restart() error {
	if err := s.Kill(); err != nil {
		return err
	}
	if err := s.StartSealed(); err != nil {
		return err
	}
	return s.Unseal()
}

// Freeze stops the server's process without ending it: connections are
// accepted, and nothing answers until Thaw.
func (s *Server) Freeze() error {
	p, err := s.running()
	if err != nil {
		return err
	}
	return freeze(p.cmd.Process)
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error {
	p, err := s.running()
	if err != nil {
		return err
	}
	return thaw(p.cmd.Process)
}

func (s *Server) running() (*process, error) {
	if s.External() {
		return nil, errExternal
	}
	if s.process == nil {
		return nil, errors.New("the Vault server does not run")
	}
	return s.process, nil
}
