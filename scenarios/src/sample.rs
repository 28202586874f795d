//! The small graph that scenarios use: users by id.

use kuzusync_core::ddl::Column;
use kuzusync_core::statement::{Properties, Statement};
use kuzusync_core::value::{Type, Value};

/// `User(id STRING, name STRING, email STRING, PRIMARY KEY(id))`.
#[must_use]
pub fn create_user_table() -> Statement {
    let column = |name: &str| Column { name: name.to_owned(), column_type: Type::String };
    let columns = ["id", "name", "email"].map(column).to_vec();
    Statement::CreateNodeTable { table: "User".into(), columns, primary_key: "id".into() }
}

/// A user with a name.
#[must_use]
pub fn create_user(id: &str, name: &str) -> Statement {
    let properties = Properties::from([("id".into(), Value::from(id)), ("name".into(), Value::from(name))]);
    Statement::CreateNode { table: "User".into(), properties }
}

/// Another email for a user.
#[must_use]
pub fn set_email(id: &str, email: &str) -> Statement {
    let properties = Properties::from([("email".into(), Value::from(email))]);
    Statement::UpdateNode { table: "User".into(), key: Value::from(id), properties }
}
