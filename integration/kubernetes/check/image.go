package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is what BuildKit makes of a Dockerfile short of running it.
type Image struct {
	// Config is the image's configuration: user, command, labels.
	Config ocispecs.ImageConfig
	// Steps are the commands that the build would run, with their environment.
	Steps []Step
}

// Step is one RUN of a Dockerfile, all arguments resolved.
type Step struct {
	Args, Env []string
	Cwd       string
}

// ReadImage translates a Dockerfile with BuildKit's own front end, as `docker
// build` does before it runs anything. Base images are not fetched.
func ReadImage(dockerfile []byte, buildArgs map[string]string) (Image, error) {
	ctx := context.Background()
	opt := convertOptions(dockerfile)
	opt.BuildArgs = buildArgs
	state, image, _, _, err := dockerfile2llb.Dockerfile2LLB(ctx, dockerfile, opt)
	if err != nil {
		return Image{}, fmt.Errorf("translating the Dockerfile: %w", err)
	}
	definition, err := state.Marshal(ctx)
	if err != nil {
		return Image{}, fmt.Errorf("assembling the build steps: %w", err)
	}
	read := Image{Config: image.Config.ImageConfig}
	for _, encoded := range definition.Def {
		var op pb.Op
		if err := op.UnmarshalVT(encoded); err != nil {
			return Image{}, fmt.Errorf("reading a build step: %w", err)
		}
		if exec := op.GetExec(); exec != nil {
			read.Steps = append(read.Steps, Step{Args: exec.Meta.Args, Env: exec.Meta.Env, Cwd: exec.Meta.Cwd})
		}
	}
	return read, nil
}

// LintImage returns what `docker build --check` has to say.
func LintImage(dockerfile []byte) error {
	results, err := dockerfile2llb.DockerfileLint(context.Background(), dockerfile, convertOptions(dockerfile))
	if err != nil {
		return fmt.Errorf("checking the Dockerfile: %w", err)
	}
	if results.Error != nil {
		return fmt.Errorf("checking the Dockerfile: %s", results.Error.Message)
	}
	var found []error
	for _, warning := range results.Warnings {
		found = append(found, fmt.Errorf("%s: %s", warning.RuleName, warning.Detail))
	}
	return errors.Join(found...)
}

func convertOptions(dockerfile []byte) dockerfile2llb.ConvertOpt {
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", dockerfile)
	source.Definition = &llb.Definition{} // where a warning is, which the check reads
	return dockerfile2llb.ConvertOpt{
		Config:       dockerui.Config{},
		MetaResolver: baseImage{},
		SourceMap:    source,
	}
}

// baseImage stands in for the registry: it has Go's image, empty but for a PATH,
// and no other. So the name of a stage that is misspelt, which BuildKit takes for
// an image, is found.
type baseImage struct{}

func (baseImage) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	if !strings.HasPrefix(ref, "docker.io/library/golang:") {
		return "", "", nil, fmt.Errorf("%s is neither a stage nor Go's image", ref)
	}
	image := ocispecs.Image{
		Platform: ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispecs.ImageConfig{Env: []string{"PATH=/usr/local/go/bin:/usr/bin:/bin"}},
	}
	if platform := platformOf(opt); platform != nil {
		image.Platform = *platform
	}
	config, err := json.Marshal(image)
	return ref, digest.FromBytes(config), config, err
}

func platformOf(opt sourceresolver.Opt) *ocispecs.Platform {
	if opt.ImageOpt == nil {
		return nil
	}
	return opt.ImageOpt.Platform
}

// CopyContext copies to target what the build would see of the repository: the
// files that the .dockerignore lets through.
func CopyContext(repository, dockerignore, target string) error {
	file, err := os.Open(dockerignore)
	if err != nil {
		return fmt.Errorf("reading the .dockerignore: %w", err)
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", dockerignore, err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		return fmt.Errorf("reading %s: %w", dockerignore, err)
	}
	return filepath.WalkDir(repository, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(repository, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == ".git" {
				return fs.SkipDir
			}
			return nil
		}
		skip, err := ignored.MatchesOrParentMatches(relative)
		if err != nil || skip || !entry.Type().IsRegular() {
			return err
		}
		return copyFile(path, filepath.Join(target, relative))
	})
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}
