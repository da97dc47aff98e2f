# Read by the database's image when it sets itself up, after the roles were made. psql reads the passwords
# itself: what stands on a command line can be seen.
for role in owner gateway publisher reader; do
  psql --no-psqlrc -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" <<EOF
\\set password \`cat /run/secrets/$role\`
ALTER ROLE grantgate_$role PASSWORD :'password';
EOF
done
