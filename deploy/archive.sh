#!/bin/sh
# Keeps base copies of the database with pgBackRest: one at the first start, one each UTC midnight,
# a full one on Sundays. The server itself hands over its log (archive_command). With `once` it makes
# what is due now and ends.
set -eu
stanza="pgbackrest --stanza=fund"

copy() {
  kind=incr
  [ "$(date -u +%u)" = 7 ] && kind=full
  # A stanza that is there already is left as it is; `check` waits until a segment has arrived.
  $stanza stanza-create && $stanza check && $stanza --type="$kind" backup
}

until pg_isready --quiet; do sleep 1; done
if [ "${1:-}" = once ]; then copy; exit; fi
while :; do
  if copy; then
    echo "copied at $(date -u +%FT%TZ)"
    now=$(date -u +%s)
    sleep $((86400 - now % 86400))
  else
    echo "not copied; tried again in 15 minutes" >&2
    sleep 900
  fi
done
