package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// Each command runs in a script of its own, as in AWS's open-source runner. The
// script restores the working directory and the variables of the previous
// command, runs the command with set -a, so that plain assignments are exported
// too, and saves both. So variables and the directory survive, and functions
// and shell options do not. A command that leaves the script (exit, exec) saves
// nothing.
//
// The command is on line 4, which its shell's error messages show.
// CODEBUILD_BUILD_SUCCEEDING changes between commands, so it is set after the
// saved variables.
const script = `cd "$(cat %[1]s/directory)"
set -a
. %[1]s/environment; CODEBUILD_BUILD_SUCCEEDING=%[2]d
%[3]s
CODEBUILD_LAST_EXIT=$?
export -p >%[1]s/environment
pwd >%[1]s/directory
exit $CODEBUILD_LAST_EXIT
`

// prepare makes the environment and directory in which the first command
// starts.
func (b *build) prepare(ctx context.Context) error {
	requested, err := b.requested(ctx)
	if err != nil {
		return err
	}
	b.variables = b.environment(requested)
	if err := os.WriteFile(b.saved("environment"), nil, 0o600); err != nil {
		return err
	}
	return os.WriteFile(b.saved("directory"), []byte(b.folder.source()+"\n"), 0o600)
}

// saved returns the path of a file that a command leaves to the next one.
func (b *build) saved(name string) string { return filepath.Join(b.folder.agent(), name) }

// runCommands runs commands until one fails.
func (b *build) runCommands(ctx context.Context, commands []string) error {
	for _, command := range commands {
		if err := b.runCommand(ctx, command); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) runCommand(ctx context.Context, command string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.log.agent("Running command %s", command)
	err := b.runScript(ctx, command)
	b.output.sync()
	b.log.line("")
	if err == nil || ctx.Err() != nil {
		return err
	}
	b.failed = true // later commands of this phase see it
	b.log.agent("Command did not exit successfully %s %v", command, err)
	return &phaseError{"COMMAND_EXECUTION_ERROR", fmt.Sprintf("Error while executing command: %s. Reason: %v", command, err)}
}

// runScript runs a command. Its error is "exit status N" if the status is not
// 0.
func (b *build) runScript(ctx context.Context, command string) error {
	succeeding := 1
	if b.failed {
		succeeding = 0
	}
	file := b.saved("script.sh")
	text := fmt.Sprintf(script, quote(b.folder.agent()), succeeding, command)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	if err := b.handOver(file); err != nil {
		return err
	}
	return b.run(ctx, b.commandAs(b.as, b.spec.Shell, file))
}

// withUmask runs a program with the umask of a build machine, whatever the
// engine's umask is. Otherwise the modes of a checkout's files, and so of the
// image's, would depend on it.
const withUmask = `umask 022; exec "$@"`

// command returns a command for a program with the build's environment. The
// program is found on this machine whatever the build's PATH is.
func (b *build) command(program string, args ...string) task {
	return task{
		Args: append([]string{"/bin/sh", "-c", withUmask, "sh", lookUp(program, b.path())}, args...),
		Dir:  b.folder.source(),
		Env:  list(b.variables),
	}
}

// lookUp finds a program in the folders of a path.
func lookUp(program, path string) string {
	if filepath.IsAbs(program) {
		return program
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return program
}

// exportedVariables returns the last values of the buildspec's exported
// variables. A variable that was never set is left out.
func (b *build) exportedVariables(ctx context.Context) ([]types.ExportedEnvironmentVariable, error) {
	if len(b.spec.Exported) == 0 {
		return nil, nil
	}
	text := ""
	for _, name := range b.spec.Exported {
		text += fmt.Sprintf("[ -z \"${%[1]s+set}\" ] || printf '%%s=%%s\\0' %[1]s \"$%[1]s\"\n", name)
	}
	values, err := b.printed(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("read the exported variables: %w", err)
	}
	var exported []types.ExportedEnvironmentVariable
	for variable := range strings.SplitSeq(strings.TrimSuffix(values, "\x00"), "\x00") {
		if name, value, ok := strings.Cut(variable, "="); ok && b.exports(name) {
			value = strings.ToValidUTF8(value, "\uFFFD")
			exported = append(exported, types.ExportedEnvironmentVariable{Name: aws.String(name), Value: aws.String(value)})
		}
	}
	return exported, nil
}

// printed returns what a script prints that runs with the variables which the
// commands have left.
func (b *build) printed(ctx context.Context, script string) (string, error) {
	out, _, err := b.capture(ctx, b.command(b.spec.Shell, "-c", fmt.Sprintf(". %s/environment\n%s", quote(b.folder.agent()), script)))
	return out, err
}

// exports reports whether CodeBuild exports a variable. It does not export
// secrets, nor variables that begin with AWS_.
func (b *build) exports(name string) bool {
	return !b.secrets[name] && !strings.HasPrefix(name, "AWS_")
}

// quote quotes text as one word of a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
