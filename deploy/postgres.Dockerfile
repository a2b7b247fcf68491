# PostgreSQL with pgBackRest, for the services `db` and `archive` of docker-compose.yml.
FROM postgres:17
RUN apt-get update \
 && apt-get install -y --no-install-recommends pgbackrest \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o postgres -g postgres -m 750 /var/lib/pgbackrest /var/spool/pgbackrest /tmp/pgbackrest
COPY deploy/pgbackrest.conf /etc/pgbackrest/pgbackrest.conf
COPY deploy/archive.sh /usr/local/bin/archive.sh
