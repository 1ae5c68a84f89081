package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeBOM prints the list of the modules as CycloneDX JSON. The same binary
// gives the same list, byte for byte: it has no time stamp, and its serial
// number comes from the binary's digest (SHA-256, in hex).
func writeBOM(out io.Writer, info *buildinfo.BuildInfo, digest string, modules []module) error {
	bom := cdx.NewBOM()
	bom.SerialNumber = serial(digest)
	subject := application(info, digest)
	bom.Metadata = &cdx.Metadata{Component: &subject}

	components := make([]cdx.Component, 0, len(modules))
	references := make([]string, 0, len(modules))
	for _, m := range modules {
		component, err := m.component()
		if err != nil {
			return err
		}
		components = append(components, component)
		references = append(references, component.BOMRef)
	}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: subject.BOMRef, Dependencies: &references}}

	encoder := cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	if err := encoder.Encode(bom); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}

// application describes the binary itself, with the settings that it was built
// with: they tell its flavour.
func application(info *buildinfo.BuildInfo, digest string) cdx.Component {
	var properties []cdx.Property
	for _, setting := range info.Settings {
		properties = append(properties, cdx.Property{Name: "go:build:" + setting.Key, Value: setting.Value})
	}
	component := cdx.Component{
		BOMRef:     info.Path,
		Type:       cdx.ComponentTypeApplication,
		Name:       info.Path,
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: digest}},
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		Properties: &properties,
	}
	if info.Main.Version != "(devel)" {
		component.Version = info.Main.Version
	}
	return component
}

// component describes a module. Its hash is that of go.sum: the SHA-256 of the
// list of the module's files with theirs, not of any single file.
func (m module) component() (cdx.Component, error) {
	purl := m.packageURL()
	component := cdx.Component{
		BOMRef:     purl,
		Type:       cdx.ComponentTypeLibrary,
		Name:       m.path,
		Version:    m.version,
		PackageURL: purl,
	}
	if m.sum != "" {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.sum, "h1:"))
		if err != nil {
			return cdx.Component{}, fmt.Errorf("reading the sum of %s: %w", m.path, err)
		}
		component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	}
	component.Licenses = m.choices()
	return component, nil
}

// choices states the licences as the format wants them: an SPDX identifier or
// expression, or, for those that are not allowed here and so may not be known
// to SPDX by that name, the bare names.
func (m module) choices() *cdx.Licenses {
	switch {
	case len(m.licenses) == 0:
		return nil
	case !m.shippable():
		var names cdx.Licenses
		for _, name := range m.licenses {
			names = append(names, cdx.LicenseChoice{License: &cdx.License{Name: name}})
		}
		return &names
	case len(m.licenses) == 1:
		return &cdx.Licenses{{License: &cdx.License{ID: m.licenses[0]}}}
	default:
		return &cdx.Licenses{{Expression: m.expression()}}
	}
}

// packageURL names a module as vulnerability databases do. A library of the
// system is named without a distribution: the binary runs on any.
func (m module) packageURL() string {
	version := strings.ReplaceAll(m.version, "+", "%2B")
	if m.system {
		return strings.TrimSuffix("pkg:generic/"+m.path+"@"+version, "@")
	}
	return "pkg:golang/" + m.path + "@" + version + "?type=module"
}

// serial makes a UUID of version 8 (RFC 9562: the bits are the maker's own) of
// a digest in hex.
func serial(digest string) string {
	return fmt.Sprintf("urn:uuid:%s-%s-8%s-8%s-%s", digest[:8], digest[8:12], digest[13:16], digest[17:20], digest[20:32])
}
