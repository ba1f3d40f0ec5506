"""Who decided what, on which numbers: the ledger, approval, promotion, rollback and audit."""
