// Package example holds the examples of the commands of stint, which help, manual pages and documentation print. A
// test of package e2e executes each of them.
package example

import (
	"strings"

	"github.com/spf13/cobra"
)

// examples are lines of a shell, by what follows the name of the program.
var examples = map[string]string{
	"acknowledge": `stint acknowledge backup@failed --why 'disk was full, fixed'`,
	"apply":       `stint apply jobs/ --source git --dry-run`,
	"audit":       `stint audit --since yesterday`,

	"cache list":  `stint cache list`,
	"cache prune": `stint cache prune --older-than 30d --max-size 20G`,
	"cancel":      `stint cancel train --why 'wrong parameters'`,
	"completion":  `source <(stint completion bash)`,

	"config": "stint config\nstint config worker",

	"cron adopt":   `stint cron adopt --dry-run /etc/crontab`,
	"cron due":     `stint cron due --dry-run /etc/crontab`,
	"cron list":    `stint cron list /etc/crontab`,
	"cron release": `stint cron release --dry-run /etc/crontab`,

	"delete": `stint delete backup#1 --yes`,
	"demo":   `stint demo --exit`,
	"diff":   `stint diff nightly-report`,
	"doctor": `stint doctor`,

	"events":  `stint events backup@failed`,
	"explain": `stint explain backup@failed`,
	"flush":   `stint flush`,
	"health":  `stint health`,

	"group delete": `stint group delete warehouse`,
	"group list":   `stint group list`,
	"group set":    `stint group set warehouse --limit 4`,

	"import healthchecks": `stint import healthchecks --api-key-file key --dry-run`,

	"job delete":   `stint job delete old-job --yes`,
	"job due":      "stint job due backup --cron '0 3 * * *' --zone Europe/Berlin --grace 1h\nstint job due backup",
	"job export":   `stint job export nightly-report >nightly-report.yaml`,
	"job pause":    `stint job pause nightly-report --why 'the warehouse moves'`,
	"job resume":   `stint job resume nightly-report`,
	"job set":      `stint job set backup --policy policy.yaml`,
	"job show":     `stint job show backup`,
	"job versions": `stint job versions nightly-report`,
	"jobs":         `stint jobs`,
	"logs":         "stint logs -f train\nstint logs backup@failed --grep '^ERROR' --context 3",

	"notify": `stint notify set team --url ntfy://ntfy.sh/our-topic
stint notify set oncall --url https://example.org/hook --severity critical --repeat 1h
stint notify set mail --url 'smtp://mail.example.org/?from=stint@example.org&to=ada@example.org' --quiet-cron '0 22 * * *' --quiet-for 9h`,
	"notify delete": `stint notify delete team`,
	"notify list":   `stint notify list`,
	"notify log":    "stint notify log --status failed\nstint notify log backup@failed",
	"notify set":    `stint notify set oncall --url https://example.org/hook --severity critical --repeat 1h`,
	"notify test":   `stint notify test team`,
	"policy test":   `stint policy test backup --policy policy.yaml`,

	"queue":         `stint queue --job nightly-report`,
	"queue move":    `stint queue move nightly-report#12 --priority high`,
	"queue release": `stint queue release --job nightly-report`,

	"retry": `stint retry nightly-report@failed`,
	"run": `stint run -- python train.py
stint run --job nightly --install 'npm ci' --timeout 2h -- npm run report
stint run -c 'tar c /srv | zstd > /backup/srv.zst'`,
	"runs": `stint runs backup --state failed --since 1w
stint runs --host node7 --since yesterday --until today
stint runs --state failed --all --json`,

	"schedule backfill": `stint schedule backfill nightly-report --from 3d --to today`,
	"schedule list":     `stint schedule list`,
	"schedule next":     `stint schedule next nightly-report --number 3`,
	"schedule pause":    `stint schedule pause nightly-report --why 'end of the year'`,
	"schedule resume":   `stint schedule resume nightly-report`,
	"schedule test":     `stint schedule test nightly-report.yaml --from 2026-10-24 --to 2026-10-27`,
	"schema definition": `stint schema definition >definition.schema.json`,

	"server": `stint server --data /var/lib/stint-server
stint server --listen :7846 --tls-cert cert.pem --tls-key key.pem --public-url https://stint.example.org`,
	"server backup":     `stint server backup --data /var/lib/stint-server /backup/stint`,
	"server check":      `stint server check --data /backup/stint`,
	"server rotate-key": `stint server rotate-key --data /var/lib/stint-server`,

	"show": `stint show backup@failed`,
	"submit": `stint submit nightly-report --param DAY=2026-11-27 --wait
stint submit --again nightly-report#12 --param DAY=2026-11-28
stint submit --require gpu=true -- python train.py`,

	"token create": `stint token create --name 'hosts of the web team' --scope agent --expires 365d`,
	"token list":   `stint token list`,
	"token revoke": `stint token revoke 'hosts of the web team'`,
	"version":      `stint version`,
	"wait": `stint submit nightly-report && stint wait nightly-report && publish
stint wait --timeout 2h train@running eval@running`,
	"whoami": `stint whoami`,

	"worker drain":  `stint worker drain node7 --deadline 30m --reason 'kernel update'`,
	"worker list":   `stint worker list`,
	"worker resume": `stint worker resume node7`,
	"worker run": `stint worker run --slots 4 --label zone=fra
stint worker run --allow nightly-report --token-file /etc/stint/worker.token`,
}

// Lines returns the examples, each a line of bash, by what follows the name of the program.
func Lines() map[string][]string {
	all := map[string][]string{}
	for path, lines := range examples {
		all[path] = strings.Split(lines, "\n")
	}
	return all
}

// Set gives the commands below root their examples, in the form of Cobra.
func Set(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		_, path, _ := strings.Cut(cmd.CommandPath(), " ")
		if lines := examples[path]; lines != "" {
			lines = strings.ReplaceAll("\n"+lines, "\nstint ", "\n  "+root.Root().Name()+" ")
			cmd.Example = strings.TrimPrefix(strings.ReplaceAll(lines, "\nsource", "\n  source"), "\n")
		}
		Set(cmd)
	}
}
