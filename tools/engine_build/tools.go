//go:build tools

// Package engine names the one program this module exists to build, so that go.mod keeps its requirements.
package engine

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
