// Command gensdk writes the Go SDK of a Pulumi package: gensdk SCHEMA FOLDER IMPORT-PATH.
//
// `pulumi package gen-sdk --language go` does the same by Pulumi's language host for Go, which is not a module that a tool
// can be built from.
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"

	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

func main() {
	if err := generate(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func generate(schemaFile, folder, importPath string) error {
	content, err := os.ReadFile(schemaFile)
	if err != nil {
		return err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(content, &spec); err != nil {
		return err
	}
	info, err := json.Marshal(gogen.GoPackageInfo{ImportBasePath: importPath, RespectSchemaVersion: true})
	if err != nil {
		return err
	}
	spec.Language = map[string]schema.RawMessage{"go": info}
	pkg, err := schema.ImportSpec(spec, nil, schema.ValidationOptions{})
	if err != nil {
		return err
	}
	files, err := gogen.GeneratePackage("pulumi-llm", pkg, nil)
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
