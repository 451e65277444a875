"""The database: a managed Neo4j, and any other that is named by URI."""
