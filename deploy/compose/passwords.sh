# Read by the database's image when it sets itself up, after the roles were made.
for role in owner gateway publisher reader; do
  psql --no-psqlrc -v ON_ERROR_STOP=1 -v role="grantgate_$role" -v password="$(cat "/run/secrets/$role")" \
    --username "${POSTGRES_USER:-postgres}" <<'EOF'
ALTER ROLE :"role" PASSWORD :'password';
EOF
done
